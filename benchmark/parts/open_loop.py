"""The tail under arrivals that wait for nobody, at 70% of what each precision can do, over gRPC."""

from dataclasses import dataclass

from benchmark.bench import Bench
from benchmark.parts.grpc_load import SHARE_OF_CAPACITY, GrpcLoad
from benchmark.perf_analyzer import GrpcPoint
from benchmark.spread import Spread

_CAPACITY_CONCURRENCY = 8


@dataclass(frozen=True)
class OpenLoop:
    """One server.

    Attributes:
        server: Its name.
        capacity: Closed-loop rates, one a round.
        constant: One point a round.
        poisson: One point a round.
    """

    server: str
    capacity: list[float]
    constant: list[GrpcPoint]
    poisson: list[GrpcPoint]


@dataclass(frozen=True)
class OpenLoops:
    """The part's figures."""

    share_of_capacity: float
    servers: list[OpenLoop]


def tail(points: list[GrpcPoint]) -> Spread:
    """p99 over p50, round by round."""
    return Spread.of([point.p99_ms / point.p50_ms for point in points])


def measure(bench: Bench) -> OpenLoops:
    """Rounds of every precision in turn: its capacity just before, then constant and Poisson arrivals.

    Raises:
        LeftOutError: perf_analyzer is not here.
        PerfAnalyzerError: It failed.
    """
    options = bench.options
    names = [bench.detail] if options.remote else list(bench.precisions)
    found = {name: OpenLoop(bench.ours(name).name, [], [], []) for name in names}
    for number in range(options.rounds):
        for name, loop in found.items():
            with GrpcLoad.open(bench, bench.ours(name)) as load:
                capacity = load.closed(_CAPACITY_CONCURRENCY, load.rough_rate()).images_per_s
                loop.capacity.append(capacity)
                loop.constant.append(load.open_loop("constant", SHARE_OF_CAPACITY * capacity))
                loop.poisson.append(load.open_loop("poisson", SHARE_OF_CAPACITY * capacity))
            bench.say(
                f"round {number + 1}, {loop.server}: {capacity:.1f} images/s; p99/p50 at 70%: constant "
                f"{tail(loop.constant[-1:]).median:.2f}, Poisson {tail(loop.poisson[-1:]).median:.2f}"
            )
    return OpenLoops(SHARE_OF_CAPACITY, list(found.values()))
