"""Writes evidence reports to files."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from deepfake_client.errors import ConfigurationError
from deepfake_client.evidence.builder import build_evidence, evidence_json
from deepfake_client.evidence.document import Case, Evidence
from deepfake_client.evidence.html import evidence_html
from deepfake_client.result import DetectionOutput

_FORMS: dict[str, Callable[[Evidence], str]] = {".html": evidence_html, ".json": evidence_json}


def check_report_paths(report_paths: Sequence[Path], media: Sequence[Path]) -> None:
    """Checks, before any work, whether reports can be written.

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
        _form_of(path)
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
            raise ConfigurationError(f"--report {path}: cannot be written there")
        if path.exists() and media[0].exists() and path.samefile(media[0]):
            raise ConfigurationError(f"--report {path}: would replace the input file")


def write_evidence(
    output: DetectionOutput, file_name: str, report_paths: Sequence[Path], case: Case | None = None
) -> None:
    """Writes the report of one detection, once for each path. An older report stays until the new one is complete.

    Args:
        output: From `Detector.detect(..., keep_frames=True)`.
        file_name: What to call the input in the report, a bare name.
        report_paths: Files ending in .html or .json.
        case: What the report belongs to.

    Raises:
        ConfigurationError: A suffix is another one, or a file cannot be written.
    """
    evidence = build_evidence(output, file_name, case=case)
    for path, text in [(path, _form_of(path)(evidence)) for path in report_paths]:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _form_of(path: Path) -> Callable[[Evidence], str]:
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise ConfigurationError(f"--report {path}: the name must end in .html or .json")
    return form
