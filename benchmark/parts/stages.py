"""Where the time of an image goes: steps in process, models in Triton, hops between client and ensemble."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmark.bench import Bench, Target
from benchmark.gateway_calls import post_image
from benchmark.parts.preprocess_alone import Step
from benchmark.parts.subprocess_json import run_module
from benchmark.triton_statistics import ModelShare, ModelTotals, read_metrics, read_totals, shares

_CLIENTS = (1, 4)
ENSEMBLE = "deepfake_detector"


@dataclass(frozen=True)
class ServedStages:
    """Single images through the gateway's /detect.

    Attributes:
        clients: At the same time.
        client_ms: Mean latency at the client.
        models: From Triton's statistics.
        hop_ms: Client latency less the ensemble's time: HTTP, gateway, gRPC. None where Triton cannot be asked.
    """

    clients: int
    client_ms: float
    models: list[ModelShare]
    hop_ms: float | None


@dataclass(frozen=True)
class Stages:
    """The part's figures.

    Attributes:
        server: Which server.
        steps: Of preprocessing, in a process of its own; none for a deployment elsewhere.
        served: By number of clients.
    """

    server: str
    steps: list[Step]
    served: list[ServedStages]


def measure(bench: Bench) -> Stages:
    """Steps in a process of their own, then the served path."""
    target = bench.ours(bench.detail)
    steps: list[Step] = []
    if not bench.options.remote:
        release, frames = str(bench.release(bench.detail)), str(bench.frames_folder)
        steps = [Step(**step) for step in run_module("benchmark.parts.preprocess_alone", release, frames)]
    return Stages(target.name, steps, [_served(bench, target, clients) for clients in _CLIENTS])


def _served(bench: Bench, target: Target, clients: int) -> ServedStages:
    requests = 8 if bench.options.quick else 40
    images = bench.supply.encoded(requests)
    post_image(target.url, bench.supply.encoded(1)[0])
    before = _totals(target)
    with ThreadPoolExecutor(clients) as pool:
        latencies_ms = list(pool.map(lambda image: _timed_ms(target, image), images))
    models = shares(before, _totals(target))
    client_ms = statistics.fmean(latencies_ms)
    ensemble = next((model for model in models if model.model == ENSEMBLE), None)
    return ServedStages(clients, client_ms, models, client_ms - ensemble.total_ms if ensemble else None)


def _totals(target: Target) -> dict[str, ModelTotals]:
    if target.grpc:
        return read_totals(target.grpc)
    return read_metrics(target.metrics) if target.metrics else {}


def _timed_ms(target: Target, image: bytes) -> float:
    started = time.perf_counter()
    post_image(target.url, image)
    return (time.perf_counter() - started) * 1e3
