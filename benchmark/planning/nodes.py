"""`deepfake-bench plan`: from what one node does, measured, to what a day's videos need.

A node is one deployment as it was measured: a gateway and a Triton with all cores, or the GPU, of its machine. With N
videos a day of F frames and r frames/s of a node:

    λ = N / 86400 * peak-to-mean          videos/s at the peak
    S = F / r                             seconds one node is busy with a video
    c = least number with  λ S / c <= utilisation bound  and  95th percentile of the wait <= its bound
    nodes = c + spare                     so that the bounds hold while `spare` of them are away

The wait is that of the queue M/G/c: arrivals at random moments (a Poisson process), one queue, c equal servers, work
of any length whose standard deviation over its mean is cv. With the offered load a = λ S and Erlang's probability
C = C(c, a) that a video has to wait at all:

    Wq = C S / (c - a) * (1 + cv^2) / 2           mean wait (Allen and Cunneen; exact for exponential S)
    P(W > t) = C e^(-t C / Wq)                    so the 95th percentile is Wq / C * ln(C / 0.05), or 0
"""

import bisect
import math
import statistics
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmark.servers import BenchError
from deepfake_client.command_line.exits import USAGE, fail, require_packages

DAY_S = 86_400
_MOST_NODES = 1_000_000
_ROUNDING = 1e-9  # 0.7 / 0.7 may come out a hair above 1, which is no reason for a second node

_TABLE = (
    ("frames/s of a node", "{:.1f}", "frames_per_s"),
    ("nodes that keep the bounds", "{:,}", "least_nodes"),
    ("nodes with the spare ones", "{:,}", "nodes"),
    ("utilisation at the peak, spare nodes away", "{:.0%}", "utilisation"),
    ("work of a video, s", "{:.2f}", "service_s"),
    ("mean wait before it at the peak, s", "{:.2f}", "mean_wait_s"),
    ("p95 wait, s", "{:.2f}", "p95_wait_s"),
    ("cost a day", "{:,.2f}", "cost_per_day"),
)


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
    """

    frames_per_s: float
    least_nodes: int
    nodes: int
    utilisation: float
    service_s: float
    mean_wait_s: float
    p95_wait_s: float
    cost_per_day: float | None


def erlang_c(servers: int, offered: float) -> float:
    """The probability (0-1) that a video has to wait, with exponential service times.

    Args:
        servers: c, at least 1.
        offered: a = λ S, 0 <= a < c.

    Raises:
        BenchError: At a >= c the queue would grow without end.
    """
    from scipy.stats import poisson  # --help does without it

    if not 0 <= offered < servers:
        raise BenchError(f"{servers} nodes cannot do the work of {offered:g}: the queue would grow without end")
    blocked = float(poisson.pmf(servers, offered) / poisson.cdf(servers, offered))  # Erlang B
    return blocked / (1 - offered / servers * (1 - blocked))


def waits_s(servers: int, arrivals_per_s: float, service_s: float, service_cv: float) -> tuple[float, float]:
    """Mean and 95th percentile of the wait in M/G/c, in seconds.

    Raises:
        BenchError: The servers cannot do the work.
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
        BenchError: No number of nodes up to a million is enough.
    """
    service_s = demand.frames / frames_per_s
    offered = demand.peak_videos_per_s * service_s

    def waits(nodes: int) -> tuple[float, float]:
        return waits_s(nodes, demand.peak_videos_per_s, service_s, demand.service_cv)

    fewest = max(math.ceil(offered / demand.utilisation - _ROUNDING), 1)
    candidates = range(fewest, _MOST_NODES + 1)
    # More nodes never wait longer.
    index = bisect.bisect_left(candidates, True, key=lambda nodes: waits(nodes)[1] <= demand.p95_wait_s)
    if index == len(candidates):
        raise BenchError(f"more than {_MOST_NODES:,} nodes would be needed: check the demand and the rate")
    least = candidates[index]
    nodes = least + demand.spare
    mean_wait_s, p95_wait_s = waits(least)
    return Need(
        frames_per_s=frames_per_s,
        least_nodes=least,
        nodes=nodes,
        utilisation=offered / least,
        service_s=service_s,
        mean_wait_s=mean_wait_s,
        p95_wait_s=p95_wait_s,
        cost_per_day=None if demand.node_price is None else nodes * demand.node_price * 24,
    )


EXIT_CODES = {0: "planned", 1: "it cannot be planned: the message says why", **USAGE}
EXAMPLES = ("deepfake-bench plan --videos-per-day 100000 --frames-per-second 34.8",)


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
) -> None:
    """Plans how many nodes a day's videos need, and what they cost.

    The rate is that of the part `ratio` of `deepfake-bench run`: the whole path, 30 frames a request. Measure your own
    machine or GPU; a running deployment with `deepfake-bench run --gateway URL --media-root DIR --only ratio`.
    `deepfake-bench feed` says how many cores a node with a GPU wants.
    """
    require_packages("deepfake-bench plan", {"scipy": "bench"})
    demand = Demand(videos_per_day, frames, peak_to_mean, utilisation, p95_wait_s, service_cv, spare, node_price)
    if not all(math.isfinite(value or 0) for value in [*asdict(demand).values(), *frames_per_second]):
        raise typer.BadParameter("every number must be finite")
    rounds = {
        "slowest round": min(frames_per_second),
        "median": statistics.median(frames_per_second),
        "fastest round": max(frames_per_second),
    }
    try:
        made = {name: needed(value, demand) for name, value in rounds.items()}
    except BenchError as error:
        fail("deepfake-bench plan", str(error), 1)
    peak = demand.peak_videos_per_s
    typer.echo(
        f"{videos_per_day:,.0f} videos a day of {frames:g} frames; {peak_to_mean:g} times the mean at the peak: "
        f"{peak:.2f} videos/s,\n{peak * frames:.1f} frames/s; bounds: utilisation {utilisation:.0%}, "
        f"p95 wait {p95_wait_s:g} s, nodes that may be away: {spare}"
    )
    table = Table("", *made)
    for title, form, name in _TABLE:
        values = [getattr(need, name) for need in made.values()]
        if None not in values:
            table.add_row(title, *(form.format(value) for value in values))
    Console(markup=False, highlight=False, width=120).print(table)
    typer.echo(
        "Plan with the slowest round. "
        "Not in it: decoding uploaded videos (the rate is of frames sent as images), storage, traffic."
    )
