"""Boxes from the output of MediaPipe's face models, on figures that can be reckoned by hand."""

import numpy as np
import pytest

from preprocessing import Box
from preprocessing.face_detection.boxes import anchors, decode, merge_overlapping, to_pixels


def corners(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(boxes, np.float32).reshape(-1, 2, 2)


def test_anchors_are_the_centres_of_cells_row_by_row() -> None:
    centres = anchors(8, ((4, 2), (8, 1)))
    expected = [(0.25, 0.25)] * 2 + [(0.75, 0.25)] * 2 + [(0.25, 0.75)] * 2 + [(0.75, 0.75)] * 2 + [(0.5, 0.5)]
    np.testing.assert_array_equal(centres, np.array(expected, np.float32))
    assert len(anchors(192, ((4, 1),))) == 2304
    assert len(anchors(128, ((8, 2), (16, 6)))) == 896


def test_what_reaches_the_score_is_decoded_the_best_first() -> None:
    raw = np.zeros((4, 16), np.float32)
    raw[:, :4] = [(0, 0, 20, 40), (10, -10, 20, 20), (0, 0, -1, 5), (0, 0, 10, 10)]
    logits = np.array([0.0, 2.0, 3.0, -1e4], np.float32)  # the third has a negative width, the last is no face at all
    boxes, scores = decode(raw, logits, np.full((4, 2), 0.5, np.float32), 100, np.float32(0.5))
    np.testing.assert_allclose(boxes, corners((0.5, 0.3, 0.7, 0.5), (0.4, 0.3, 0.6, 0.7)), rtol=1e-6)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2)), 0.5], rtol=1e-6)


def test_boxes_that_overlap_by_more_than_0_3_are_averaged_by_their_scores() -> None:
    first, alike, apart = (0.0, 0.0, 0.4, 0.4), (0.2, 0.0, 0.6, 0.4), (0.22, 0.0, 0.62, 0.4)  # IoU 0.333 and 0.290
    merged = list(merge_overlapping(corners(first, alike), np.array([0.9, 0.6], np.float32)))
    ((box, score),) = merged
    np.testing.assert_allclose(box.ravel(), (0.2 * 0.4, 0, 0.4 + 0.2 * 0.4, 0.4), rtol=1e-6)
    assert score == np.float32(0.9)
    merged = list(merge_overlapping(corners(first, apart), np.array([0.9, 0.6], np.float32)))
    np.testing.assert_allclose([box.ravel() for box, _ in merged], (first, apart), rtol=1e-6)


def test_nothing_is_merged_into_a_box_without_area() -> None:
    assert list(merge_overlapping(corners((0.5, 0.5, 0.5, 0.5)), np.array([0.9], np.float32))) == []
    assert list(merge_overlapping(corners(), np.zeros(0, np.float32))) == []


@pytest.mark.parametrize(
    ("share", "size", "expected"),
    [
        ((0.5, 0.5, 0.75, 0.75), (100, 100), (50, 50, 75, 75)),
        # The square is 200 px; the image's rows are 50 to 150 of it.
        ((0.5, 0.5, 0.75, 0.75), (200, 100), (100, 50, 150, 100)),
        ((0.5, 0.5, 0.75, 0.75), (100, 200), (50, 100, 100, 150)),
        # Corner 10.6 and size 20.6 become 10 and 20: rounding both corners would give 11 and 31.
        ((0.106, 0.106, 0.312, 0.312), (100, 100), (10, 10, 30, 30)),
        # A corner outside moves to the edge, and the size stays.
        ((-0.1, 0.2, 0.2, 0.5), (100, 100), (0, 20, 30, 50)),
    ],
)
def test_shares_of_the_square_become_whole_pixels_of_the_image(
    share: tuple[float, ...], size: tuple[int, int], expected: tuple[float, ...]
) -> None:
    assert to_pixels(np.array(share, np.float32).reshape(2, 2), *size) == Box(*expected)
