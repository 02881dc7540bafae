import cv2
import numpy as np
from numpy.typing import NDArray

from training.embedded.held_out_media import METHODS, LabelledPicture
from training.embedded.linear_baseline import features, linear_baseline


def picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(96, 96, 3) uint8: smooth noise."""
    return cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), np.uint8), (0, 0), float(rng.uniform(0.6, 2)))


def with_blocks_moved(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    blocks = [pixels[y : y + 8, x : x + 8] for y in range(0, 96, 8) for x in range(0, 96, 8)]
    order = rng.permutation(len(blocks))
    return np.vstack([np.hstack([blocks[order[12 * y + x]] for x in range(12)]) for y in range(12)])


def test_the_statistics_know_no_place_but_do_know_sharpness_and_colour() -> None:
    rng = np.random.default_rng(0)
    pixels = picture(rng)
    values = features(pixels)
    np.testing.assert_allclose(features(with_blocks_moved(pixels, rng)), values, atol=1e-9)
    assert np.abs(features(cv2.GaussianBlur(pixels, (0, 0), 2.0)) - values).max() > 0.5
    assert np.abs(features(pixels[..., ::-1].copy()) - values).max() > 0.01


def test_a_picture_of_one_colour_has_statistics_too() -> None:
    assert np.isfinite(features(np.full((64, 64, 3), 200, np.uint8))).all()


def labelled(seed: int) -> list[LabelledPicture]:
    """ "strong" ones leak their making into the whole picture, the other fakes are real pictures with blocks moved."""
    rng = np.random.default_rng(seed)
    pictures = []
    for person in range(40):
        for method in ("untouched", *METHODS):
            pixels = picture(rng)
            if method == "strong":
                pixels = np.clip(pixels.astype(np.int16) * [1.3, 1.0, 0.8], 0, 255).astype(np.uint8)
            label = "real" if method in ("untouched", "filtered") else "fake"
            pictures.append(LabelledPicture(pixels, label, method, f"{seed}-{person}", f"{method}-{person}"))
    return pictures


def test_a_leak_is_found_and_a_part_that_does_not_fit_is_not_taken_for_one() -> None:
    found = linear_baseline(labelled(0), labelled(1))
    assert found["strong"].itself.value is not None
    assert found["strong"].itself.value > 0.95
    for method in ("seen", "swap", "inpainting", "filtered"):
        auc = found[method].itself
        assert auc.low is not None
        assert auc.high is not None
        assert auc.low < 0.5 < auc.high, method
    assert found["strong"].trained.high is not None
    assert found["strong"].trained.high < found["strong"].itself.value
