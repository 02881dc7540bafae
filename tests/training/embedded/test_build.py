"""How a trained model becomes the embedded checkpoint. The model here is the committed one, which has learnt."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from deploy.model import EMBEDDED_CHECKPOINT
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.model_card import README
from export.golden import read_golden
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import Box
from tests.media import photo_pixels
from tests.seeded_checkpoint import make_untrained_checkpoint
from training.data.faces import FaceImage
from training.embedded import build as module
from training.embedded.faces import Photographs
from training.embedded.stages import Recipe
from training.errors import CalibrationError

SQUARES = (
    ("astronaut.png", 0, 64), ("astronaut.png", 250, 200), ("chelsea.png", 20, 60), ("chelsea.png", 60, 200),
    ("coffee.png", 60, 150), ("rocket.jpg", 100, 200),
)  # fmt: skip


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretended people of both sides, in place of those that are fetched."""
    faces = tuple(
        FaceImage(
            np.ascontiguousarray(photo_pixels(name)[y : y + 220, x : x + 220]), Box(60, 50, 150, 160), f"p{n}", name
        )
        for n, (name, y, x) in enumerate(SQUARES)
    )
    monkeypatch.setattr(module, "load_photographs", lambda *_: Photographs((), faces, faces, ()))


def build(folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything but the hours of training."""
    monkeypatch.setattr(module, "train_stages", lambda *_: trained)
    return module.build(folder, folder, Recipe())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pictures than the recipe has, for the short forms."""
    monkeypatch.setattr(module, "VARIANTS", 1)
    monkeypatch.setattr(module, "GOLDEN_CANDIDATES", 8)


@pytest.mark.long
@pytest.mark.usefixtures("photographs")
def test_a_trained_model_becomes_a_checkpoint_with_bands_golden_images_figures_and_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = build(tmp_path, EMBEDDED_CHECKPOINT, monkeypatch)
    release = export_checkpoint(
        locate_checkpoint(str(checkpoint)), ExportSettings(tmp_path / "releases", parity_images=8)
    )
    golden = read_golden(release.path)
    assert golden is not None
    assert [entry.label for entry in golden.manifest.images].count("fake") == 2
    before = (checkpoint / "figures.json").read_bytes()
    assert (build(tmp_path, EMBEDDED_CHECKPOINT, monkeypatch) / "figures.json").read_bytes() == before


@pytest.mark.usefixtures("photographs", "few")
def test_the_checkpoint_says_what_it_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FPR", 0.1)
    monkeypatch.setattr(module, "MAX_FNR", 0.1)
    checkpoint = build(tmp_path, EMBEDDED_CHECKPOINT, monkeypatch)
    sidecar = json.loads((checkpoint / "deepfake.json").read_text())
    assert (sidecar["name"], "model card" in sidecar["notice"]) == ("deepfake-embedded", True)
    assert sidecar["calibration"]["max_fpr"] == 0.1
    assert sidecar["scope"] == "face"
    figures = json.loads((checkpoint / "figures.json").read_text())
    assert set(figures["test"]) == {"seen", "strong", "swap", "inpainting"}
    assert set(figures["unseen"]) == {"seen", "strong"}  # the bands were set on pictures of these methods only
    for shares in figures["verdicts"].values():
        assert sum(shares) == pytest.approx(1)
    stored, calibrated = (load_file(folder / "model.safetensors") for folder in (checkpoint, tmp_path / "calibrated"))
    assert torch.float16 in {value.dtype for value in stored.values()}
    assert all(torch.equal(stored[name].to(calibrated[name].dtype), calibrated[name]) for name in calibrated)
    strong = figures["test"]["strong"]
    card = (checkpoint / README).read_text(encoding="utf-8")
    assert f"{strong['value']:.3f} ({strong['low']:.3f} to {strong['high']:.3f})" in card
    golden = read_golden(checkpoint)
    assert golden is not None
    assert [entry.label for entry in golden.manifest.images].count("fake") == 2


@pytest.mark.usefixtures("photographs", "few")
def test_a_model_that_tells_nothing_apart_becomes_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CalibrationError, match="train on"):
        build(tmp_path, untrained(tmp_path / "model"), monkeypatch)
    assert not (tmp_path / "checkpoint").exists()
    assert not (tmp_path / "calibrated").exists()
    # Nothing of a held-out method is calibrated on.
    with (tmp_path / "val" / "people.csv").open(newline="") as stream:
        assert {row["method"] for row in csv.DictReader(stream)} == {"untouched", "filtered", "seen", "strong"}
    with (tmp_path / "test" / "people.csv").open(newline="") as stream:
        assert {"swap", "inpainting"} < {row["method"] for row in csv.DictReader(stream)}


def untrained(folder: Path) -> Path:
    make_untrained_checkpoint(folder, hidden_size=64, layers=2)
    return folder
