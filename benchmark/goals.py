"""What the figures are meant to reach, and whether they do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmark.parts.drifts import Drifts
from benchmark.parts.growth import Growth
from benchmark.parts.open_loop import OpenLoops, tail
from benchmark.parts.roofline import Roofline
from benchmark.parts.served_path import ServedPath
from benchmark.parts.single_latency import SingleLatencies
from benchmark.parts.video_ratio import VideoRates
from benchmark.spread import Spread

_RATIOS = {"fp32": (1.35, 1.35), "bf16": (2.7, 3.0), "int8": (4.0, 5.0)}
_DRIFTS = {"fp32": 1e-4, "bf16": 0.007, "int8": 0.015}
_ROOF = {"fp32": 0.88, "bf16": 0.88, "int8": 0.65}
_SERVED = 0.93
_TAILS = {"constant": 2.5, "poisson": 5.0}
_LINEAR = 1.05
"""A fitted exponent of linear growth, with the noise of a fit."""


@dataclass(frozen=True)
class Goal:
    """One goal and what was measured.

    Attributes:
        what: The figure.
        limit: As text, `>= 2.7 (aim 3)`.
        measured: Median and range; None where it was not measured.
        met: Whether the median keeps the limit; None where it was not measured.
        depends_on_machine: Whether another processor may well give another answer.
        digits: Decimals of the figure that matter.
    """

    what: str
    limit: str
    measured: Spread | None
    met: bool | None
    depends_on_machine: bool
    digits: int = 2


def _at_least(what: str, limit: float, measured: Spread | None, machine: bool, aim: float | None = None) -> Goal:
    text = f">= {limit:g}" + (f" (aim {aim:g})" if aim and aim != limit else "")
    return Goal(what, text, measured, None if measured is None else measured.median >= limit, machine)


def _at_most(what: str, limit: float, measured: Spread | None, machine: bool) -> Goal:
    return Goal(what, f"<= {limit:g}", measured, None if measured is None else measured.median <= limit, machine)


def judge(figures: Mapping[str, Any]) -> list[Goal]:
    """Every goal, those included of which nothing was measured.

    Args:
        figures: Dataclasses of the measured parts by name.
    """
    makers: tuple[Callable[[Mapping[str, Any]], Iterator[Goal]], ...] = (
        _ratios, _drifts, _roofs, _served, _latencies, _tails, _growth,
    )  # fmt: skip
    return [goal for make in makers for goal in make(figures)]


def _ratios(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: VideoRates | None = figures.get("ratio")
    for precision, (limit, aim) in _RATIOS.items():
        ratio = part.ratio(f"ours {precision}") if part else None
        yield _at_least(f"{precision}: images/s over the seed's, 30 frames over HTTP", limit, ratio, True, aim)


def _drifts(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: Drifts | None = figures.get("drift")
    found = {drift.precision: drift.max_dp for drift in part.precisions} if part else {}
    for precision, limit in _DRIFTS.items():
        measured = Spread.of([found[precision]]) if precision in found else None
        what = f"{precision}: largest drift of a probability from PyTorch fp32, whole path"
        yield replace(_at_most(what, limit, measured, True), digits=7 if limit < 1e-3 else 4)


def _roofs(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: Roofline | None = figures.get("roofline")
    shares = {roof.precision: roof.share for roof in part.precisions} if part else {}
    for precision, limit in _ROOF.items():
        what = f"{precision}: classifier alone, share of the GEMM ceiling"
        yield _at_least(what, limit, shares.get(precision), True)


def _served(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: ServedPath | None = figures.get("served")
    shares = {served.server: served.share() for served in part.servers} if part else {}
    for precision in _RATIOS:
        what = f"{precision}: served through the gateway, share of a bare process"
        yield _at_least(what, _SERVED, shares.get(f"ours {precision}"), False)


def _latencies(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: SingleLatencies | None = figures.get("latency")
    for precision in _RATIOS:
        gain = part.gain(f"ours {precision}") if part else None
        yield _at_least(f"{precision}: the seed's single-image latency over ours", 1.0, gain, True)


def _tails(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: OpenLoops | None = figures.get("openloop")
    loops = {loop.server: loop for loop in part.servers} if part else {}
    for arrivals, limit in _TAILS.items():
        for precision in _RATIOS:
            loop = loops.get(f"ours {precision}")
            points = (loop.constant if arrivals == "constant" else loop.poisson) if loop else []
            what = f"{precision}: p99 over p50, {arrivals} arrivals at 70% of capacity"
            yield _at_most(what, limit, tail(points) if points else None, False)


def _growth(figures: Mapping[str, Any]) -> Iterator[Goal]:
    part: Growth | None = figures.get("growth")
    exponents = {curve.name: curve.exponent for curve in part.curves} if part else {}
    for name in ("frames of a request", "size of an image", "concurrent clients", "preprocess instances"):
        exponent = exponents.get(name)
        measured = None if exponent is None else Spread.of([exponent])
        yield _at_most(f"exponent of cost over {name}", _LINEAR, measured, False)
