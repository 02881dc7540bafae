"""export_report.json: what an export tried, measured and took."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from export.gate.candidates import Candidate
from export.gate.faces import FaceParity
from export.graph.onnx_export import OPSET
from export.release import REPOSITORY, classifier_folders
from runtime.openvino_classifier import processor

REPORT_FILE = "export_report.json"
SERVED = "  <- served"
"""Ends the line of a variant that was taken."""

_LIBRARIES = (
    "torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf",
    "numpy",
)  # fmt: skip


def write_report(
    folder: Path,
    release_id: str,
    candidates: Mapping[str, Sequence[Candidate]],
    faces: FaceParity | None,
    duration_s: float,
) -> None:
    """Writes the report.

    Args:
        folder: Of the release.
        release_id: Its name.
        candidates: What was tried of each checkpoint, by name, the one that is served first.
        faces: How the direct face detector compares with MediaPipe; None where the release does not use it.
        duration_s: Of the export, in seconds.
    """
    folders = classifier_folders(folder / REPOSITORY)
    members = [
        {"name": name, **_tried(of_one), "classifier_bytes": sum(path.stat().st_size for path in (at / "1").iterdir())}
        for (name, of_one), at in zip(candidates.items(), folders, strict=True)
    ]
    report = {
        "release_id": release_id,
        **(members[0] if len(members) == 1 else {"members": members}),
        "faces": asdict(faces) if faces else None,
        "processor": processor(),
        "duration_s": round(duration_s, 2),
        "opset": OPSET,
        "versions": _versions(),
    }
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _tried(candidates: Sequence[Candidate]) -> dict[str, Any]:
    tried = [candidate.to_dict() for candidate in candidates]
    return {"variant": tried[0]["variant"], "parity": tried[0]["parity"], "candidates": tried}


def explain_choice(release: Path) -> list[str]:
    """Why a release has the precision it has, one line per variant that was tried; [] if the report cannot be read."""
    try:
        report = json.loads((release / REPORT_FILE).read_text(encoding="utf-8"))
        return [
            f"{member['name']}: {line}" if "members" in report else line
            for member in report.get("members", [report])
            for line in (_line(candidate, served=i == 0) for i, candidate in enumerate(member["candidates"]))
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _line(candidate: dict[str, Any], *, served: bool) -> str:
    rate = f"{candidate['images_per_s']:.1f} images/s by the classifier alone here" if candidate["images_per_s"] else ""
    judged = "a faster one passed the gate"
    if candidate["refused"]:
        judged = f"refused: {candidate['refused']}"
    elif parity := candidate["parity"]:
        judged = f"max |dp| {parity['max_dp']:.2g} from PyTorch over {parity['images']} images"
    return f"precision {candidate['variant']}: {', '.join(filter(None, (rate, judged)))}{SERVED if served else ''}"


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
