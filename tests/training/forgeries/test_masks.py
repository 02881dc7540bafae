import numpy as np
import pytest

from preprocessing import Box
from training.forgeries.blending import bend, draw_mask, ellipse, hull, part, soften

BOX = Box(60, 50, 160, 170)


@pytest.mark.parametrize("shape_px", [(220, 200), (64, 64)])
def test_masks_lie_on_the_face(shape_px: tuple[int, int]) -> None:
    scale = shape_px[1] / 200
    box = Box(*(value * scale for value in (60, 50, 160, 170)))
    for seed in range(40):
        mask = draw_mask(shape_px, box, np.random.default_rng(seed))
        assert mask.shape == shape_px
        assert mask.dtype == np.float32
        assert mask.min() >= 0
        assert 0.5 < mask.max() <= 1
        rows, columns = np.nonzero(mask > 0.5)
        assert box.x0 < columns.mean() < box.x1
        assert box.y0 < rows.mean() < box.y1
        assert mask[0, 0] < 0.01


def test_whole_faces_are_larger_than_parts() -> None:
    def share(draw: object) -> float:
        return float(np.mean([draw((220, 200), BOX, np.random.default_rng(seed)).mean() for seed in range(20)]))  # type: ignore[operator]

    assert share(ellipse) > 1.5 * share(part)
    assert share(hull) > 1.5 * share(part)


def test_bending_moves_the_edge_but_not_the_middle() -> None:
    mask = ellipse((220, 200), BOX, np.random.default_rng(0))
    bent = bend(mask, np.random.default_rng(1), amplitude_px=6)
    assert 0.005 < np.abs(bent - mask).mean() < 0.1
    assert bent[110, 110] == 1


def test_softening_widens_the_edge() -> None:
    mask = ellipse((220, 200), BOX, np.random.default_rng(0))

    def transition(values: np.ndarray) -> int:
        return int(((values > 0.1) & (values < 0.9)).sum())

    assert transition(soften(mask, 4.0)) > 5 * transition(soften(mask, 0.5))
