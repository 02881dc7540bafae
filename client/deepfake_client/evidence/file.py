"""Writes evidence reports to files: HTML or JSON by the suffix, each there in full or not at all."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from deepfake_client.errors import ConfigurationError
from deepfake_client.evidence.builder import build_evidence, evidence_json
from deepfake_client.evidence.document import Evidence
from deepfake_client.evidence.html import evidence_html
from deepfake_client.result import DetectionOutput

_FORMS: dict[str, Callable[[Evidence], str]] = {".html": evidence_html, ".json": evidence_json}


def check_report_paths(report_paths: Sequence[Path], media: Sequence[Path]) -> None:
    """Checks, before any work, that reports can be asked for.

    Args:
        report_paths: Where they are to be written; none is fine.
        media: The input files.

    Raises:
        ConfigurationError: A suffix is neither .html nor .json, there is not exactly one input file, or a report would
            replace it or cannot be written.
    """
    if report_paths and len(media) != 1:
        raise ConfigurationError(f"--report is about one file, not {len(media)}")
    for path in report_paths:
        if path.suffix.lower() not in _FORMS:
            raise ConfigurationError(f"--report {path}: the name must end in .html or .json")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
            raise ConfigurationError(f"--report {path}: cannot be written there")
        if path.exists() and media[0].exists() and path.samefile(media[0]):
            raise ConfigurationError(f"--report {path}: would replace the input file")


def write_evidence(output: DetectionOutput, file_name: str, report_paths: Sequence[Path]) -> None:
    """Writes the report of one detection, once for each path.

    Args:
        output: From `Detector.detect(..., keep_frames=True)`.
        file_name: What to call the input in the report, a bare name.
        report_paths: Files ending in .html or .json; what was there is replaced.

    Raises:
        ConfigurationError: A suffix is another one, or a file cannot be written.
    """
    unknown = [path for path in report_paths if path.suffix.lower() not in _FORMS]
    if unknown:
        raise ConfigurationError(f"{unknown[0]}: the name of a report must end in .html or .json")
    evidence = build_evidence(output, file_name)
    texts = [_FORMS[path.suffix.lower()](evidence) for path in report_paths]
    for path, text in zip(report_paths, texts, strict=True):
        try:
            _write(path, text)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    """By way of a file beside it that takes its name when all is written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
