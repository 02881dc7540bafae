"""Single images over HTTP against one server, each request with a frame of its own."""

from dataclasses import dataclass

from benchmark.bench import Bench, Target
from benchmark.http_load import LoadResult, run_load
from benchmark.http_requests import HttpRequests, detect_requests, predict_requests

_ROUGH_REQUESTS = 12
_RESERVE = 1.6


class FailedRequestsError(Exception):
    """A server refused or failed requests of a measurement."""


@dataclass(frozen=True)
class HttpPoint:
    """One closed loop.

    Attributes:
        clients: At the same time.
        requests: Answered.
        images_per_s: Over the whole time.
        mean_ms: Latency, as are the next two.
        p50_ms: Half were quicker.
        p99_ms: 99% were quicker.
        repeated: Requests whose frame had been sent before, and so may have come from a cache.
        generator_cpu_share: Processor time of the load generator, in cores.
    """

    clients: int
    requests: int
    images_per_s: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    repeated: int
    generator_cpu_share: float


def closed_loop(bench: Bench, target: Target, clients: int, expected_rate: float | None = None) -> HttpPoint:
    """Clients that ask again as soon as they are answered, for one window.

    Args:
        bench: Frames and the window's length.
        target: The server.
        clients: How many.
        expected_rate: Images a second, for the number of frames to prepare; found by a short loop if None.

    Raises:
        LoadError: The load generator failed.
        FailedRequestsError: A request failed.
    """
    window_s = bench.options.window_s
    if expected_rate is None:
        rough = run_load(target.url, _requests(bench, target, _ROUGH_REQUESTS), concurrency=clients,
                         request_count=_ROUGH_REQUESTS)  # fmt: skip
        expected_rate = _checked(target, rough).images_per_s
    requests = _requests(bench, target, round(expected_rate * window_s * _RESERVE) + 2 * clients)
    try:
        result = _checked(target, run_load(target.url, requests, concurrency=clients, duration_s=window_s))
    finally:
        bench.supply.forget()
    return HttpPoint(
        clients=clients,
        requests=result.requests,
        images_per_s=result.images_per_s,
        mean_ms=sum(result.latencies_s) / len(result.latencies_s) * 1e3,
        p50_ms=result.p50_s * 1e3,
        p99_ms=result.p99_s * 1e3,
        repeated=result.repeated_bodies,
        generator_cpu_share=result.generator_cpu_s / result.seconds,
    )


def _requests(bench: Bench, target: Target, count: int) -> HttpRequests:
    files = bench.supply.files(count)
    return detect_requests(files) if target.route == "/detect" else predict_requests(files)


def _checked(target: Target, result: LoadResult) -> LoadResult:
    if result.failed or not result.latencies_s:
        raise FailedRequestsError(
            f"{target.name}: {result.failed} of {result.requests} requests failed: {result.errors}"
        )
    return result
