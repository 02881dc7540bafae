from pathlib import Path

import numpy as np
import pytest

from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from tests.media import photo_pixels
from training.embedded.small_model import SmallModelSpec, build_small_model, texture_filters, write_small_model
from training.errors import OptionError

SPEC = SmallModelSpec(hidden_size=96, layers=2, heads=4, image_px=64)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """(24, 64, 64, 3) uint8: parts of photographs."""
    rng, parts = np.random.default_rng(0), []
    for name in ("astronaut.png", "coffee.png", "chelsea.png"):
        photo = photo_pixels(name)
        for _ in range(8):
            y, x = rng.integers(0, photo.shape[0] - 64), rng.integers(0, photo.shape[1] - 64)
            parts.append(photo[y : y + 64, x : x + 64])
    return np.stack(parts)


def test_the_exporter_takes_what_is_written(tmp_path: Path, pixels: np.ndarray) -> None:
    write_small_model(tmp_path / "small", SPEC, pixels)
    checkpoint = load_checkpoint(locate_checkpoint(str(tmp_path / "small")))
    assert checkpoint.head.labels == ("Fake", "Real")
    assert checkpoint.head.fake_indices == (0,)
    assert checkpoint.resize.size_px == 64
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def test_the_same_seed_gives_the_same_weights(pixels: np.ndarray) -> None:
    first, again = (build_small_model(SPEC, pixels).state_dict() for _ in range(2))
    assert all(np.array_equal(first[name].numpy(), again[name].numpy()) for name in first)


def test_the_filters_outputs_have_no_mean_and_unit_variance(pixels: np.ndarray) -> None:
    import torch

    model = build_small_model(SPEC, pixels)
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        outputs = model.vision_model.embeddings.patch_embedding(values)[:, : SPEC.hidden_size - 24]
    assert outputs.mean((0, 2, 3)).abs().max() < 1e-3
    assert (outputs.std((0, 2, 3)) - 1).abs().max() < 1e-3


def test_the_first_layer_measures_how_sharp_a_patch_is(pixels: np.ndarray) -> None:
    """The energy of the highest band of luma, as the MLP of the first layer adds it up: less in a blurred picture."""
    import cv2
    import torch

    model = build_small_model(SPEC, pixels)
    layer, channel = model.vision_model.encoder.layers[0], SPEC.hidden_size - 24 + 1 + 7

    def energy(pictures: np.ndarray) -> float:
        values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            tokens = model.vision_model.embeddings.patch_embedding(values).flatten(2).transpose(1, 2)
            return float(layer.mlp(tokens)[..., channel].mean())

    blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 1.5) for picture in pixels])
    assert energy(blurred) < 0.5 * energy(pixels)


def test_a_directory_that_is_there_is_refused_and_left_alone(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(OptionError, match="is there already"):
        write_small_model(tmp_path / "kept", SPEC, pixels)
    assert (tmp_path / "kept").read_text() == "mine"


@pytest.mark.parametrize(
    "spec", [SmallModelSpec(hidden_size=97, image_px=64), SmallModelSpec(hidden_size=48, image_px=64)]
)
def test_sizes_that_do_not_fit_are_refused(spec: SmallModelSpec, pixels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="must be a multiple of"):
        build_small_model(spec, pixels)


def test_pictures_of_another_size_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="takes 224 px"):
        write_small_model(tmp_path / "small", SmallModelSpec(), pixels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("patch_px", [8, 16])
def test_filters_within_a_band_are_orthogonal_and_see_no_mean(patch_px: int) -> None:
    bank = texture_filters(120, patch_px, np.random.default_rng(0))
    assert len(bank.weights) == len(bank.band) == 120
    flat = bank.weights.reshape(120, -1)
    for band in range(bank.band.max() + 1):
        members = flat[bank.band == band]
        assert len(members) >= 1
        assert np.abs(members.sum(axis=1)).max() < 1e-9
        luma = members / np.linalg.norm(members, axis=1, keepdims=True)
        if band < 8:
            assert np.abs(luma @ luma.T - np.eye(len(luma))).max() < 1e-9


def test_too_few_filters_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        texture_filters(20, 16, np.random.default_rng(0))
