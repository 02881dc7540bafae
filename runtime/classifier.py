"""What a classifier is, whichever library runs it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

INPUTS = ("PIXELS", "STATUS")
OUTPUTS = ("FAKE_PROBABILITY", "PROBABILITIES", "EXPORT_ID")
"""Tensors of the served graph; the outputs in the order of `Answer`."""


MEMBERS_OUTPUT = "MEMBER_PROBABILITIES"
"""Of several classifiers that are fused: (N, M) float32, the fake probability by each of them."""


def pixels_name(view: int) -> str:
    """The tensor with the squares of a view (`preprocessing.PreprocessParams.views`), counted from 0."""
    return f"PIXELS_{view + 1}" if view else "PIXELS"


class Answer(NamedTuple):
    """The classifier's outputs for N images, named as the graph's own.

    Attributes:
        fake_probability: (N, 1) float32, 0-1; NaN where the status was not 0.
        probabilities: (N, labels) float32 softmax; NaN likewise.
        export_id: (N, 1) int32, the export's constant.
    """

    fake_probability: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    export_id: NDArray[np.int32]


def joined(parts: Sequence[Answer]) -> Answer:
    """The answer for the images of all parts, in order."""
    return parts[0] if len(parts) == 1 else Answer(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class Classifier(Protocol):
    """An exported classifier. Thread-safe: calls take turns, and each uses all the cores it was given."""

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """Classifies images.

        Args:
            pixels: (N, S, S, 3) uint8, RGB, 0-255, C-contiguous.
            status: (N, 1) int32; images whose status is not 0 get NaN.

        Raises:
            ClassifierRunError: A GPU failed.
        """

    def close(self) -> None:
        """Frees the model."""
