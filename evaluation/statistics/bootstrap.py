"""Intervals by resampling: stratified, seeded percentile bootstrap."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

CONFIDENCE = 0.95

IN_RESULTS = ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)
"""How what is part of results.json appears in its schema."""

Indices = NDArray[np.intp]
Statistics = Callable[[Indices], Mapping[str, float]]


@dataclass(frozen=True)
class BootstrapPlan:
    """How intervals are made.

    Attributes:
        resamples: How many.
        seed: Seed of the random numbers; the same seed gives the same intervals.
    """

    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% bootstrap interval."""

    __pydantic_config__ = IN_RESULTS

    value: float | None
    """Over the files themselves; None where it cannot be computed."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    reason: str = ""
    """Why there is no value, or ""."""

    def text(self, sign: str = "") -> str:
        """Such as "0.883 [0.842, 0.920]", and "-" without a value.

        Args:
            sign: "+" to write the sign of each number.
        """
        if self.value is None:
            return "-"
        ends = "" if self.low is None or self.high is None else f" [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"
        return f"{self.value:{sign}.3f}{ends}"


def resample(strata: NDArray[np.generic], plan: BootstrapPlan) -> Iterator[Indices]:
    """Indices of each resample: each stratum gives as many as it has, with replacement.

    Args:
        strata: (N,) of anything that can be compared; equal values are one stratum.
        plan: Number and seed.

    Yields:
        (N,) intp indices into `strata`.
    """
    rng = np.random.default_rng(plan.seed)
    groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    for _ in range(plan.resamples):
        yield np.concatenate([group[rng.integers(0, group.size, group.size)] for group in groups])


def estimate(
    statistics: Statistics, strata: NDArray[np.generic], plan: BootstrapPlan, reason: str
) -> dict[str, Estimate]:
    """Values with 95% percentile intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13).

    Args:
        statistics: Values by name for the files with these indices, NaN where one cannot be computed.
        strata: (N,) the stratum of each file; N may be 0.
        plan: Number of resamples and seed.
        reason: What is said of a value that cannot be computed.
    """
    values = statistics(np.arange(strata.size))
    drawn: dict[str, list[float]] = {name: [] for name in values}
    if any(math.isfinite(value) for value in values.values()):
        for indices in resample(strata, plan):
            for name, value in statistics(indices).items():
                drawn[name].append(value)
    return {name: _interval(value, np.array(drawn[name]), reason) for name, value in values.items()}


def _interval(value: float, drawn: NDArray[np.float64], reason: str) -> Estimate:
    if not math.isfinite(value):
        return Estimate(None, reason=reason)
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size:
        return Estimate(value)
    low, high = np.percentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Estimate(value, float(low), float(high))
