"""A calibration made with other inputs than those that are served is dropped, and the release says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from deepfake_client.release import FakeWhen, ReleaseBands
from deploy.model import EMBEDDED_CHECKPOINT
from export.checkpoint.calibrated import with_fitting_calibration
from export.checkpoint.head import Labelling
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.checkpoint.load import Checkpoint, load_checkpoint
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import CALIBRATIONS_SINCE, PREPROCESSING_VERSION, PreprocessParams
from tests.export import checkpoints

BANDS = {"image": {"real_below": 0.1, "fake_above": 0.9}, "video": {"real_below": 0.2, "fake_above": 0.8}}


def record(**said: Any) -> dict[str, Any]:
    """The embedded checkpoint's record with other inputs; those that are None are left out, as in older ones."""
    embedded = json.loads((EMBEDDED_CHECKPOINT / "deepfake.json").read_text("utf-8"))["calibration"]
    return {name: value for name, value in {**embedded, **said}.items() if value is not None}


def calibrated(path: Path, **said: Any) -> Checkpoint:
    checkpoints.siglip(path, {0: "Fake", 1: "Real"})
    (path / "deepfake.json").write_text(json.dumps({"verdict_bands": BANDS, "calibration": record(**said)}))
    return load_checkpoint(LocatedCheckpoint(path, path.name))


def params(checkpoint: Checkpoint, **settings: Any) -> PreprocessParams:
    return PreprocessParams(**{"resize": checkpoint.resize, "crop_factor": checkpoint.sidecar.crop_factor, **settings})


@pytest.mark.parametrize(
    ("said", "served", "reason"),
    [
        ({}, {"face_detection": False}, "face detection on"),
        ({"face_detection": False}, {}, "face detection off"),
        ({"crop_factor": 1.6}, {}, "crops of 1.6 times the face"),
        ({"fake_labels": ["Real"]}, {}, "Real as fake labels"),
        ({"preprocessing_version": CALIBRATIONS_SINCE - 1}, {}, f"version {CALIBRATIONS_SINCE - 1}"),
        ({"preprocessing_version": PREPROCESSING_VERSION + 1}, {}, f"version {PREPROCESSING_VERSION + 1}"),
    ],
)
def test_one_made_with_other_inputs_is_dropped(
    said: dict[str, Any], served: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    checkpoint = calibrated(tmp_path / "model", **said)
    sidecar = with_fitting_calibration(checkpoint, params(checkpoint, **served)).sidecar
    assert sidecar.calibration is None
    assert sidecar.verdict_bands == ReleaseBands()
    assert reason in sidecar.notice
    assert "Calibrate it again" in sidecar.notice


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"preprocessing_version": PREPROCESSING_VERSION},
        {"crop_factor": 1.6, "face_detection": False},
        {"crop_factor": None, "fake_labels": None, "preprocessing_version": None},
    ],
    ids=["the same", "newest", "no crop", "an older record"],
)
def test_one_made_with_the_same_inputs_stays(said: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = calibrated(tmp_path / "model", **said)
    faces = said.get("face_detection", True)
    assert with_fitting_calibration(checkpoint, params(checkpoint, face_detection=faces)).sidecar is checkpoint.sidecar


@pytest.mark.parametrize(("served", "kept"), [("high", True), ("low", False)])
def test_one_of_a_single_output_holds_for_one_end_of_it(served: FakeWhen, kept: bool, tmp_path: Path) -> None:
    path = checkpoints.siglip(tmp_path / "model", {0: "LABEL_0"})
    sidecar = {"verdict_bands": BANDS, "calibration": record(fake_labels=["fake"], fake_when="high")}
    (path / "deepfake.json").write_text(json.dumps(sidecar))
    checkpoint = load_checkpoint(LocatedCheckpoint(path, path.name), Labelling(fake_when=served))
    found = with_fitting_calibration(checkpoint, params(checkpoint)).sidecar
    assert (found.calibration is not None) is kept
    assert ("a single output that is high for fakes" in found.notice) is not kept


def test_the_release_says_so(tmp_path: Path) -> None:
    calibrated(tmp_path / "model")
    settings = ExportSettings(tmp_path / "releases", face_detection=False, parity_images=8)
    info = export_checkpoint(locate_checkpoint(str(tmp_path / "model")), settings).info
    assert (info.calibration, info.verdict_bands) == (None, ReleaseBands())
    assert info.notice.startswith(
        "The verdict bands are the defaults: the checkpoint was calibrated with face detection"
    )
