"""The gate compares the direct face detector with MediaPipe."""

import json
from pathlib import Path

import pytest

from export.checkpoint.hub import locate_checkpoint
from export.errors import ParityError
from export.gate.faces import face_parity, mediapipe_answers
from export.release import Release
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import Box, Face, FaceDetector
from tests.service import ROOT

FACE, MOVED = Face(Box(100, 100, 200, 200), 0.9), Face(Box(106, 100, 206, 200), 0.9)
SAME, NOTHING = ([FACE], [FACE]), ([], [])


def face_report(release: Release) -> dict[str, float] | None:
    found: dict[str, float] | None = json.loads((release.path / "export_report.json").read_text())["faces"]
    return found


def test_the_report_of_a_release_has_the_comparison(int8_release: Release) -> None:
    faces = face_report(int8_release)
    assert faces is not None
    assert faces["pictures"] == faces["equal"] == 24
    assert faces["with_face"] > 0
    assert (faces["other_decisions"], faces["other_boxes"], faces["min_iou"]) == (0, 0, 1.0)
    assert 0 < faces["max_score_difference"] < 1e-4, "two detectors, not one compared with itself"


def test_the_recorded_answers_are_mediapipes_own() -> None:
    """Made again by: python -m export.gate.faces."""
    recorded = json.loads((ROOT / "export" / "gate" / "mediapipe_faces.json").read_text(encoding="utf-8"))
    found = mediapipe_answers()
    assert {kind: len(pictures) for kind, pictures in recorded.items()} == {"generated": 32, "photos": 64}
    for kind, pictures in recorded.items():
        for theirs, now in zip(pictures, found[kind], strict=True):
            assert [face[:4] for face in theirs] == [list(face[:4]) for face in now]
            assert [face[4] for face in theirs] == pytest.approx([face[4] for face in now], abs=1e-4)


def test_a_release_with_mediapipe_compares_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings = ExportSettings(tmp_path, face_detector=FaceDetector.MEDIAPIPE, parity_images=8)
    release = export_checkpoint(locate_checkpoint(str(tiny_checkpoint)), settings)
    assert face_report(release) is None
    assert json.loads((release.repository / "preprocess/1/preprocess.json").read_text())["face_detector"] == "mediapipe"


@pytest.mark.parametrize(
    "found",
    [
        [([], [FACE]), *[SAME] * 99],
        [([FACE], []), *[NOTHING] * 99],
        [([MOVED], [FACE]), *[SAME] * 98],
    ],
    ids=["missed", "made up", "elsewhere"],
)
def test_a_detector_that_differs_too_often_is_refused(found: list[tuple[list[Face], list[Face]]]) -> None:
    with pytest.raises(ParityError, match="--face-detector mediapipe"):
        face_parity(found).check()


def test_rare_differences_pass_and_are_counted() -> None:
    parity = face_parity([([], [FACE]), ([MOVED], [FACE]), *[SAME] * 499, *[NOTHING] * 99])
    parity.check()
    assert (parity.pictures, parity.with_face, parity.equal) == (600, 501, 598)
    assert (parity.other_decisions, parity.other_boxes) == (1, 1)
    assert parity.min_iou == pytest.approx(94 / 106)
