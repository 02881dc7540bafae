"""The output of MediaPipe's face models to boxes: MediaPipe's own steps, in its order and in float32.

Boxes are corners (N, 2, 2): (x0, y0) and (x1, y1), as shares of the letterboxed square.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from preprocessing.crop import Box

Floats = NDArray[np.float32]

_MERGED_FROM_IOU = np.float32(0.3)
_HALF = np.float32(0.5)
_LARGEST_LOGIT = np.float32(80)  # the exponential overflows at 89


def anchors(side_px: int, layers: Sequence[tuple[int, int]]) -> Floats:
    """(N, 2) float32: the centres (x, y) that a model's boxes count from, as shares of its side.

    Args:
        side_px: Side of the model's input.
        layers: Stride in pixels and anchors a cell, of each layer.
    """
    rows = []
    for stride_px, per_cell in layers:
        cells = side_px // stride_px
        centres = (np.arange(cells, dtype=np.float32) + _HALF) / np.float32(cells)
        y, x = np.meshgrid(centres, centres, indexing="ij")
        rows.append(np.repeat(np.stack((x.ravel(), y.ravel()), axis=1), per_cell, axis=0))
    return np.concatenate(rows)


def decode(
    boxes: Floats, logits: Floats, centres: Floats, side_px: int, min_score: np.float32
) -> tuple[Floats, Floats]:
    """Corners (N, 2, 2) and scores (N,) of what reaches the score, the best first.

    Args:
        boxes: (A, 16): centre x and y relative to the anchor, width and height, in pixels of the input; then six points
            of the face, which are not used.
        logits: (A,).
        centres: (A, 2), see `anchors`.
        side_px: Side of the model's input.
        min_score: 0-1.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)))
    found = np.flatnonzero(scores >= min_score)
    found = found[np.argsort(-scores[found], kind="stable")]
    shares = boxes[found, :4] / np.float32(side_px)
    middle, half = shares[:, :2] + centres[found], shares[:, 2:] / np.float32(2)
    low = middle - half
    size = middle + half - low
    sound = (size >= 0).all(axis=1)  # a model may give a negative size
    return np.stack((low, low + size), axis=1)[sound], scores[found][sound]


def merge_overlapping(corners: Floats, scores: Floats) -> Iterator[tuple[Floats, np.float32]]:
    """One box and score a face: boxes that overlap the best one are averaged by their scores, which it keeps.

    Args:
        corners: (N, 2, 2).
        scores: (N,), the best first.
    """
    while len(scores):
        alike = _iou(corners, corners[0]) > _MERGED_FROM_IOU
        if not alike[0]:  # it has no area
            return
        weights = scores[alike, None, None]
        # `sum` adds pairwise, in another order than MediaPipe does.
        total, weighted = np.cumsum(weights)[-1], np.cumsum(corners[alike] * weights, axis=0)[-1]
        low, high = weighted / total
        yield np.stack((low, low + (high - low))), scores[0]
        corners, scores = corners[~alike], scores[~alike]


def _iou(corners: Floats, one: Floats) -> Floats:
    """(N,) float32: the intersection of each box with one of them, over their union."""
    shared = np.minimum(corners[:, 1], one[1]) - np.maximum(corners[:, 0], one[0])
    intersection = np.where((shared > 0).all(axis=1), shared[:, 0] * shared[:, 1], np.float32(0))
    size = corners[:, 1] - corners[:, 0]
    area, own_area = size[:, 0] * size[:, 1], (one[1] - one[0])[0] * (one[1] - one[0])[1]
    union = area + own_area - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def to_pixels(corners: Floats, width_px: int, height_px: int) -> Box:
    """A box in whole pixels of the image. MediaPipe cuts fractions off its corner and its size, not off both corners.

    Args:
        corners: (2, 2), shares of the square around the image.
        width_px: Of the image.
        height_px: Of the image.
    """
    size_px = np.array((width_px, height_px), np.float32)
    per_px = np.float32(1) / size_px
    side_px = size_px.max()
    corners = corners * (side_px * per_px) + (size_px * _HALF - side_px * _HALF) * per_px
    whole = np.stack((corners[0] * size_px, (corners[1] - corners[0]) * size_px)).astype(np.int32)
    (x0, y0), (width, height) = np.clip(whole, 0, size_px).astype(float).tolist()
    return Box(x0, y0, x0 + width, y0 + height)
