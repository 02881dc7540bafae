"""The ensemble over gRPC: how rate and latency change with concurrency and with Poisson arrivals."""

from dataclasses import dataclass

from benchmark.bench import Bench
from benchmark.parts.grpc_load import SHARE_OF_CAPACITY, GrpcLoad
from benchmark.perf_analyzer import GrpcPoint

_CONCURRENCIES = (1, 2, 4, 8)
_SHARES = (0.3, 0.5, SHARE_OF_CAPACITY, 0.9)


@dataclass(frozen=True)
class GrpcSweeps:
    """The part's figures.

    Attributes:
        server: Which server.
        capacity_images_per_s: The best closed loop's rate.
        closed: By concurrency.
        poisson: By arrival rate, shares of the capacity.
    """

    server: str
    capacity_images_per_s: float
    closed: list[GrpcPoint]
    poisson: list[GrpcPoint]


def measure(bench: Bench) -> GrpcSweeps:
    """Closed loops, then Poisson arrivals at shares of what the best of them reached.

    Raises:
        LeftOutError: perf_analyzer is not here.
        PerfAnalyzerError: It failed.
    """
    target = bench.ours(bench.detail)
    with GrpcLoad.open(bench, target) as load:
        rate = load.rough_rate()
        closed = [load.closed(number, rate) for number in _CONCURRENCIES]
        capacity = max(point.images_per_s for point in closed)
        bench.say(f"capacity {capacity:.1f} images/s")
        poisson = [load.open_loop("poisson", share * capacity) for share in _SHARES]
    return GrpcSweeps(target.name, capacity, closed, poisson)
