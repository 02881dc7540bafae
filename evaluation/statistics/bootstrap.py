"""Intervals by resampling: stratified, seeded percentile bootstrap over files, or over the people in them."""

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


def resample(strata: NDArray[np.generic], plan: BootstrapPlan, groups: Indices | None = None) -> Iterator[Indices]:
    """Indices of each resample: whole groups are drawn with replacement, as many of each kind as there are.

    A group's kind is which strata its files belong to. So a resample lacks no class that the files have.

    Args:
        strata: (N,) of anything that can be compared; equal values are one stratum.
        plan: Number and seed.
        groups: (N,) intp, equal for files that depend on each other, such as those of one person. None: none do.

    Yields:
        (M,) intp indices into `strata`; M is N where all groups of a kind have the same size.
    """
    rng = np.random.default_rng(plan.seed)
    groups = np.arange(strata.size) if groups is None else groups
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    kinds: dict[tuple[np.generic, ...], list[int]] = {}
    for number, files in enumerate(members):
        kinds.setdefault(tuple(np.unique(strata[files])), []).append(number)
    pools = [np.array(kinds[kind]) for kind in sorted(kinds)]
    for _ in range(plan.resamples):
        drawn = [pool[rng.integers(0, pool.size, pool.size)] for pool in pools]
        yield np.concatenate([members[number] for number in np.concatenate(drawn)])


def estimate(
    statistics: Statistics,
    strata: NDArray[np.generic],
    plan: BootstrapPlan,
    reason: str,
    groups: Indices | None = None,
) -> dict[str, Estimate]:
    """Values with 95% percentile intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13).

    With groups it is the cluster bootstrap (Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
    section 3.8): files of one person are alike, and intervals over files would be too narrow.

    Args:
        statistics: Values by name for the files with these indices, NaN where one cannot be computed.
        strata: (N,) the stratum of each file; N may be 0.
        plan: Number of resamples and seed.
        reason: What is said of a value that cannot be computed.
        groups: As for `resample`.
    """
    values = statistics(np.arange(strata.size))
    drawn: dict[str, list[float]] = {name: [] for name in values}
    if any(math.isfinite(value) for value in values.values()):
        for indices in resample(strata, plan, groups):
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
