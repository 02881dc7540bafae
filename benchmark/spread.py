"""What rounds agree on: median and range."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A figure measured several times."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value per round.

        Raises:
            ValueError: There is none.
        """
        if not values:
            raise ValueError("no round was measured")
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int = 2) -> str:
        """`median (low-high)`, or the value alone where there was one round."""
        if self.rounds == 1:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def ratios(values: Sequence[float], baseline: Sequence[float]) -> Spread:
    """The spread of the ratio within each round, so that a slow minute of the machine meets both sides of it."""
    return Spread.of([value / other for value, other in zip(values, baseline, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(-(-len(ordered) * percent // 100), 1).__int__() - 1]
