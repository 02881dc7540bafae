import cv2
import numpy as np
import pytest

from training.data.changes import (
    Change,
    add_noise,
    blur,
    change_colour,
    change_frequency,
    change_geometry,
    compress,
    resample,
)
from training.data.faces import FaceImage


def sharpness(pixels: np.ndarray) -> float:
    return float(cv2.Laplacian(pixels.astype(np.float32).mean(axis=2), cv2.CV_32F).std())


@pytest.mark.parametrize("change", [change_colour, change_frequency, change_geometry])
def test_a_change_gives_another_picture_of_the_same_shape(change: Change, face: FaceImage) -> None:
    for seed in range(15):
        changed = change(face.pixels, np.random.default_rng(seed), 1.0)
        assert changed.shape == face.pixels.shape
        assert changed.dtype == np.uint8
        assert not np.array_equal(changed, face.pixels), seed


def test_a_change_of_colour_leaves_the_edges_where_they_are(face: FaceImage) -> None:
    def edges(pixels: np.ndarray) -> np.ndarray:
        return np.hypot(*np.gradient(pixels.astype(np.float64).mean(axis=2))).ravel()

    for seed in range(5):
        changed = change_colour(face.pixels, np.random.default_rng(seed), 0.5)
        assert np.corrcoef(edges(face.pixels), edges(changed))[0, 1] > 0.9


def test_what_is_blurred_compressed_or_resampled_loses_detail_and_noise_adds_it(face: FaceImage) -> None:
    before = sharpness(face.pixels)
    assert sharpness(blur(face.pixels, 1.5)) < 0.7 * before
    assert sharpness(resample(face.pixels, 2.0)) < 0.8 * before
    assert sharpness(compress(face.pixels, 10)) < before
    assert sharpness(add_noise(face.pixels, np.random.default_rng(0), 8)) > 1.2 * before


def test_jpeg_keeps_the_colours_in_their_channels() -> None:
    red = np.full((64, 64, 3), (200, 20, 20), np.uint8)
    assert np.abs(compress(red, 95).astype(int) - red).max() <= 4


def test_a_turned_picture_has_no_black_corners() -> None:
    white = np.full((80, 80, 3), 255, np.uint8)
    for seed in range(5):
        assert change_geometry(white, np.random.default_rng(seed), 3.0).min() == 255
