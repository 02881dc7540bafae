from collections.abc import Callable

import numpy as np
import pytest

from training.forgeries.blending import alpha_blend, multiband_blend

Blend = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def plain(value: int, size: int = 96) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def half(size: int = 96) -> np.ndarray:
    mask = np.zeros((size, size), np.float32)
    mask[:, : size // 2] = 1
    return mask


@pytest.mark.parametrize("blend", [alpha_blend, multiband_blend])
def test_an_empty_mask_gives_the_background_and_a_full_one_the_foreground(blend: Blend) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 75, 90, 3)).astype(np.uint8)
    assert np.array_equal(blend(a, b, np.zeros((75, 90), np.float32)), b)
    assert np.array_equal(blend(a, b, np.ones((75, 90), np.float32)), a)


@pytest.mark.parametrize("blend", [alpha_blend, multiband_blend])
def test_far_from_the_edge_each_side_keeps_its_own(blend: Blend) -> None:
    blended = blend(plain(200), plain(50), half())
    assert abs(int(blended[48, 4, 0]) - 200) <= 3
    assert abs(int(blended[48, -5, 0]) - 50) <= 3


def test_a_multiband_blend_spreads_an_edge_that_an_alpha_blend_keeps_hard() -> None:
    def steepest(blended: np.ndarray) -> int:
        return int(np.abs(np.diff(blended[48, :, 0].astype(int))).max())

    assert steepest(alpha_blend(plain(200), plain(50), half())) == 150
    assert steepest(multiband_blend(plain(200), plain(50), half())) < 40


def test_half_a_mask_value_is_half_of_each() -> None:
    assert np.all(alpha_blend(plain(200), plain(100), np.full((96, 96), 0.5, np.float32)) == 150)
