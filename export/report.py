"""export_report.json: what an export tried, measured and took."""

import contextlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.gate.candidates import Candidate
from export.graph.onnx_export import OPSET
from runtime.openvino_classifier import processor

REPORT_FILE = "export_report.json"
_LIBRARIES = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "openvino", "nncf", "numpy")
_ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu")  # the same package, built for another machine


def write_report(
    folder: Path, release_id: str, candidates: Sequence[Candidate], classifier: Path, duration_s: float
) -> None:
    """Writes the report.

    Args:
        folder: Of the release.
        release_id: Its name.
        candidates: What was tried, the one that is served first.
        classifier: Version folder of the classifier's entry.
        duration_s: Of the export, in seconds.

    Raises:
        ExportError: A library of the export is missing.
    """
    served = candidates[0]
    report = {
        "release_id": release_id,
        "variant": served.variant.name,
        "parity": served.parity.to_dict() if served.parity else None,
        "candidates": [candidate.to_dict() for candidate in candidates],
        "processor": processor(),
        "duration_s": round(duration_s, 2),
        "opset": OPSET,
        "classifier_bytes": sum(path.stat().st_size for path in classifier.iterdir()),
        "versions": _versions(),
    }
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def explain_choice(release: Path) -> list[str]:
    """Why a release has the precision it has, one line per variant that was tried; [] if the report cannot be read."""
    try:
        candidates = json.loads((release / REPORT_FILE).read_text(encoding="utf-8"))["candidates"]
        return [_line(candidate, served=i == 0) for i, candidate in enumerate(candidates)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _line(candidate: dict[str, Any], *, served: bool) -> str:
    if candidate["refused"]:
        return f"precision {candidate['variant']} refused: {candidate['refused']}"
    drift = f"max |dp| {candidate['parity']['max_dp']:.2g} from PyTorch over {candidate['parity']['images']} images"
    rate = candidate["images_per_s"]
    speed = f"{rate:.1f} images/s by the classifier alone here, " if rate else ""
    return f"precision {candidate['variant']}: {speed}{drift}{'  <- served' if served else ''}"


def _versions() -> dict[str, str]:
    try:
        found = {name: version(name) for name in _LIBRARIES}
    except PackageNotFoundError as error:
        raise ExportError(f"a library of the export is missing: {error}") from error
    for name in _ONNXRUNTIMES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
