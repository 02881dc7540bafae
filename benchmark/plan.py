"""`deepfake-bench plan`: from what one node does, measured, to what a day's videos need.

A node is one deployment as it was measured: a gateway and a Triton with all cores, or the GPU, of its machine. With N
videos a day of F frames and r frames/s of a node:

    λ = N / 86400 * peak-to-mean          videos/s at the peak
    S = F / r                             seconds one node is busy with a video
    c = least number with  λ S / c <= utilisation bound  and  95th percentile of the wait <= its bound
    nodes = c + spare                     so that the bounds hold while `spare` of them are away

The wait is that of the queue M/G/c: arrivals at random moments (a Poisson process), one queue, c equal servers. With
the offered load a = λ S and C = C(c, a), Erlang's probability that a video has to wait at all:

    Wq = C S / (c - a) * (1 + cv^2) / 2           mean wait
    P(W > t) = C e^(-t C / Wq)                    so the 95th percentile is Wq / C * ln(C / 0.05), or 0

- Erlang C: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic
  telephone exchanges", 1917; here by the recursion of Erlang B, which does not overflow.
- The mean: the Allen-Cunneen approximation, A. O. Allen, "Probability, Statistics, and Queueing Theory with Computer
  Science Applications", 2nd ed., Academic Press 1990, chapter 5; exact for exponential S, and for one server.
- The percentile is exact for exponential S, an approximation otherwise (W. Whitt, "Approximations for the GI/G/m
  queue", Production and Operations Management 2 (1993) 114-161).

`tests/benchmark/test_plan.py` compares all of it with a simulation.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmark.results import Spread

DAY_S = 86_400
DAYS_A_MONTH = 365.25 / 12
_MOST_NODES = 1_000_000
_ROUNDING = 1e-9
"""0.7 / 0.7 may come out a hair above 1, which is no reason for a second node."""

_TABLE = (
    ("frames/s of a node", "{:.1f}", "frames_per_s"),
    ("nodes that keep the bounds", "{:,}", "least_nodes"),
    ("nodes with the spare ones", "{:,}", "nodes"),
    ("utilisation at the peak, spare nodes away", "{:.0%}", "utilisation"),
    ("work of a video, s", "{:.2f}", "service_s"),
    ("mean wait before it at the peak, s", "{:.2f}", "mean_wait_s"),
    ("p95 wait, s", "{:.2f}", "p95_wait_s"),
    ("cost a day", "{:,.2f}", "cost_per_day"),
    ("cost a month", "{:,.2f}", "cost_per_month"),
)
_NOT_COVERED = "Not in it: decoding uploaded videos (the rate is of frames sent as images), storage, traffic."


class PlanError(Exception):
    """A plan cannot be made; the message says what to give instead."""


@dataclass(frozen=True)
class Demand:
    """What is asked and what is promised; the options of the command describe the fields.

    All numbers are finite; `utilisation` is within 0-1, both excluded.
    """

    videos_per_day: float
    frames: float = 30
    peak_to_mean: float = 3
    utilisation: float = 0.7
    p95_wait_s: float = 5
    service_cv: float = 1
    spare: int = 1
    node_price: float | None = None

    @property
    def peak_videos_per_s(self) -> float:
        """Arrivals at the peak."""
        return self.videos_per_day / DAY_S * self.peak_to_mean


@dataclass(frozen=True)
class Need:
    """What one rate of a node leads to.

    Attributes:
        frames_per_s: The rate.
        least_nodes: Fewest that keep the bounds.
        nodes: These and the spare ones.
        utilisation: Of the nodes at the peak, 0-1, with every spare one away.
        service_s: Time that a node needs for a video.
        mean_wait_s: Before that, at the peak, with every spare one away.
        p95_wait_s: 95th percentile of the same.
        cost_per_day: None without a price.
        cost_per_month: Likewise.
    """

    frames_per_s: float
    least_nodes: int
    nodes: int
    utilisation: float
    service_s: float
    mean_wait_s: float
    p95_wait_s: float
    cost_per_day: float | None
    cost_per_month: float | None


def erlang_c(servers: int, offered: float) -> float:
    """The probability (0-1) that a video has to wait, with exponential service times.

    Args:
        servers: c, at least 1.
        offered: a = λ S, 0 <= a < c.

    Raises:
        PlanError: At a >= c the queue would grow without end.
    """
    if not 0 <= offered < servers:
        raise PlanError(f"{servers} nodes cannot do the work of {offered:g}: the queue would grow without end")
    blocked = 1.0  # Erlang B of no server
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def waits_s(servers: int, arrivals_per_s: float, service_s: float, service_cv: float) -> tuple[float, float]:
    """Mean and 95th percentile of the wait in M/G/c, in seconds.

    Raises:
        PlanError: The servers cannot do the work.
    """
    offered = arrivals_per_s * service_s
    waiting = erlang_c(servers, offered)
    mean_s = waiting * service_s / (servers - offered) * (1 + service_cv**2) / 2
    return mean_s, mean_s / waiting * math.log(waiting / 0.05) if waiting > 0.05 else 0.0


def needed(frames_per_s: float, demand: Demand) -> Need:
    """What the demand needs.

    Args:
        frames_per_s: Of one node, whole path, requests of about `demand.frames` frames; above 0.
        demand: What is asked.

    Raises:
        PlanError: No number of nodes below a million is enough.
    """
    service_s = demand.frames / frames_per_s
    offered = demand.peak_videos_per_s * service_s
    least = _least_nodes(offered, service_s, demand)
    nodes = least + demand.spare
    mean_s, p95_s = waits_s(least, demand.peak_videos_per_s, service_s, demand.service_cv)
    per_day = None if demand.node_price is None else nodes * demand.node_price * 24
    return Need(
        frames_per_s=frames_per_s,
        least_nodes=least,
        nodes=nodes,
        utilisation=offered / least,
        service_s=service_s,
        mean_wait_s=mean_s,
        p95_wait_s=p95_s,
        cost_per_day=per_day,
        cost_per_month=None if per_day is None else per_day * DAYS_A_MONTH,
    )


def _least_nodes(offered: float, service_s: float, demand: Demand) -> int:
    """The least number that keeps both bounds; more of them never wait longer, so it is found by halving."""

    def enough(count: int) -> bool:
        return waits_s(count, demand.peak_videos_per_s, service_s, demand.service_cv)[1] <= demand.p95_wait_s

    few = max(math.ceil(offered / demand.utilisation - _ROUNDING), 1)
    if few > _MOST_NODES:
        raise PlanError(f"more than {_MOST_NODES:,} nodes would be needed: check the demand and the rate")
    if enough(few):
        return few
    many = 2 * few  # so many servers leave next to nobody waiting
    while not enough(many):
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def plan(
    frames_per_second: Annotated[
        list[float],
        typer.Option(min=1e-3, max=1e9, help="Of one node, measured; once for each round of the measurement."),
    ],
    videos_per_day: Annotated[float, typer.Option(min=1e-9, max=1e12, help="Mean over the days planned for.")],
    frames: Annotated[float, typer.Option(min=1, max=1e6, help="Scored of each video; 1 for images.")] = Demand.frames,
    peak_to_mean: Annotated[
        float, typer.Option(min=1, max=1e3, help="Arrivals in the busiest hour over the mean hour's.")
    ] = Demand.peak_to_mean,
    utilisation: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Most of a node's rate to plan with.")
    ] = Demand.utilisation,
    p95_wait_s: Annotated[
        float, typer.Option(min=0, max=1e6, help="Most that 95 of 100 videos wait before their work begins.")
    ] = Demand.p95_wait_s,
    service_cv: Annotated[
        float, typer.Option(min=0, max=1e3, help="Standard deviation of a video's work over its mean.")
    ] = Demand.service_cv,
    spare: Annotated[int, typer.Option(min=0, help="Nodes that may be away while the bounds hold.")] = Demand.spare,
    node_price: Annotated[float | None, typer.Option(min=0, help="Of a node's hour, in any currency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """How many nodes a number of videos a day needs, and what they cost.

    The rate is that of the part `ratio` of `deepfake-bench run`: the whole path, 30 frames a request. Measure your own
    machine or GPU; a running deployment with `deepfake-bench run --gateway URL --media-root DIR --only ratio`.

    Exit codes: 0 planned, 1 it cannot be planned (the message says why), 2 usage.
    """
    demand = Demand(videos_per_day, frames, peak_to_mean, utilisation, p95_wait_s, service_cv, spare, node_price)
    if not all(math.isfinite(value or 0) for value in [*asdict(demand).values(), *frames_per_second]):
        raise typer.BadParameter("every number must be finite")
    rate = Spread.of(frames_per_second)
    try:
        rounds = {"slowest round": rate.low, "median": rate.median, "fastest round": rate.high}
        made = {name: needed(value, demand) for name, value in rounds.items()}
    except PlanError as error:
        typer.echo(f"deepfake-bench plan: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        plans = {name.split()[0]: asdict(need) for name, need in made.items()}
        typer.echo(json.dumps({"rate": asdict(rate), "demand": asdict(demand), "plan": plans}, indent=1))
    else:
        _print(made, demand)


def _print(made: dict[str, Need], demand: Demand) -> None:
    console = Console(markup=False, highlight=False, width=120)
    peak, per_day = demand.peak_videos_per_s, f"{demand.videos_per_day:,.0f}"
    console.print(
        f"{per_day} videos a day of {demand.frames:g} frames; {demand.peak_to_mean:g} times the mean at "
        f"the peak: {peak:.2f} videos/s,\n{peak * demand.frames:.1f} frames/s; bounds: utilisation "
        f"{demand.utilisation:.0%}, p95 wait {demand.p95_wait_s:g} s, nodes that may be away: {demand.spare}"
    )
    table = Table("", *made)
    for title, form, name in _TABLE:
        values = [getattr(need, name) for need in made.values()]
        if None not in values:
            table.add_row(title, *(form.format(value) for value in values))
    console.print(table)
    console.print(f"Plan with the slowest round. {_NOT_COVERED}")
