"""How a cost grows: the exponent of a power law."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Point:
    """A size and what it costs."""

    size: float
    cost: float


def fitted_exponent(points: Sequence[Point]) -> float:
    """The least-squares slope of log cost over log size: 1 is linear growth, less is sublinear.

    Raises:
        ValueError: Fewer than two sizes, or a size or cost that is not positive.
    """
    if len({point.size for point in points}) < 2 or any(point.size <= 0 or point.cost <= 0 for point in points):
        raise ValueError("an exponent needs two different positive sizes, and positive costs")
    logs = np.log([(point.size, point.cost) for point in points])
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
