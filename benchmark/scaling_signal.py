"""`python -m benchmark.scaling_signal`: which signal tells an autoscaler of Triton that there is more work than pods.

Sends images to a running Triton at rates from a quarter to twice of what it can do, and reads at each rate what an
autoscaler could: the processor time of the server and its model processes, Triton's queue and compute times, and its
pending requests. The rate is kept whether or not the server keeps up.
"""

import threading
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil  # type: ignore[import-untyped]
import tritonclient.grpc as grpc
import typer
from prometheus_client.parser import text_string_to_metric_families

from benchmark.servers import BenchError

SHARES = (0.25, 0.5, 0.75, 0.9, 1.1, 1.5, 2.0)
"""Of the measured capacity."""

_MODELS = ("preprocess", "classifier")
_PENDING = "nv_inference_pending_request_count"
_CALIBRATION_CLIENTS = 8
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Signals:
    """What was seen at one rate.

    Attributes:
        share: Of the capacity that was offered.
        answered_per_s: Images.
        processor_share: Processor time of the server and its children, over the cores that they may use.
        queue_over_compute: Time in queues over time of computing, of the model where it is highest.
        pending: Mean number of requests that wait for a model.
    """

    share: float
    answered_per_s: float
    processor_share: float
    queue_over_compute: float
    pending: float


def listening_process(address: str) -> psutil.Process:
    """The process of this machine that listens on the port of an address.

    Raises:
        BenchError: There is none.
    """
    port = int(address.rpartition(":")[2])
    pids = {c.pid for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port}
    if not (pids := pids - {None}):
        raise BenchError(f"nothing on this machine listens at {address}: is `make serve` running?")
    return psutil.Process(pids.pop())


class Server:
    """A running Triton, seen from outside."""

    def __init__(self, grpc_address: str, metrics_url: str, image: bytes, frames: int) -> None:
        """Finds its processes by the port it listens on.

        Raises:
            BenchError: Nothing of this machine listens there.
        """
        self._process = listening_process(grpc_address)
        self._metrics_url = metrics_url
        self.client = grpc.InferenceServerClient(grpc_address)
        image_input = grpc.InferInput("IMAGE", [frames, 1], "BYTES")
        image_input.set_data_from_numpy(np.full((frames, 1), image, dtype=object))
        self.inputs = [image_input]

    def processor_s(self) -> float:
        """Processor time so far."""
        times = [one.cpu_times() for one in (self._process, *self._process.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))

    def cores(self) -> int:
        """That it may use."""
        return len(self._process.cpu_affinity() or [])

    def metrics(self) -> dict[tuple[str, str], float]:
        """Values by metric and model."""
        with urllib.request.urlopen(self._metrics_url, timeout=_TIMEOUT_S) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples if "model" in sample.labels]
        # The parser adds what OpenMetrics wants at the end of counters' names.
        return {(s.name.removesuffix("_total"), s.labels["model"]): s.value for s in samples}

    def is_idle(self) -> bool:
        """Whether nothing waits for a model."""
        return not any(value for (name, _), value in self.metrics().items() if name == _PENDING)


def capacity_per_s(server: Server, seconds: float) -> float:
    """Requests a second that a few clients get answered who always ask again."""
    ends_at, answered = time.monotonic() + seconds, [0] * _CALIBRATION_CLIENTS

    def ask(number: int) -> None:
        while time.monotonic() < ends_at:
            server.client.infer("deepfake_detector", server.inputs)
            answered[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CALIBRATION_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered) / seconds


def observe(server: Server, rate_per_s: float, share: float, frames: int, seconds: float) -> Signals:
    """Sends requests at a rate, and reads the signals meanwhile."""
    answered: list[float] = []
    pending: list[float] = []
    before, processor_s, began = server.metrics(), server.processor_s(), time.monotonic()
    sent = 0

    def take(result: grpc.InferResult | None, error: Exception | None) -> None:
        if result is not None and error is None:
            answered.append(time.monotonic())

    while (elapsed_s := time.monotonic() - began) < seconds:
        while sent < elapsed_s * rate_per_s:
            server.client.async_infer("deepfake_detector", server.inputs, take, client_timeout=_TIMEOUT_S)
            sent += 1
        if len(pending) < int(elapsed_s):
            now = server.metrics()
            pending.append(sum(now.get((_PENDING, model), 0) for model in _MODELS))
        time.sleep(0.005)
    elapsed_s = time.monotonic() - began
    after = server.metrics()
    spent: dict[tuple[str, str], float] = defaultdict(float, {key: after[key] - before.get(key, 0) for key in after})
    ratios = [
        spent["nv_inference_queue_duration_us", model]
        / max(spent["nv_inference_compute_infer_duration_us", model], 1000 * elapsed_s)
        for model in _MODELS
    ]
    return Signals(
        share=share,
        answered_per_s=frames * sum(at < began + elapsed_s for at in answered) / elapsed_s,
        processor_share=(server.processor_s() - processor_s) / elapsed_s / server.cores(),
        queue_over_compute=max(ratios),
        pending=float(np.mean(pending)),
    )


def main(
    image: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An image file.")],
    triton: Annotated[str, typer.Option(help="Triton's gRPC address, on this machine.")] = "127.0.0.1:8001",
    metrics: Annotated[str, typer.Option(help="Its metrics.")] = "http://127.0.0.1:8002/metrics",
    frames: Annotated[int, typer.Option(min=1, max=32, help="Images of one request.")] = 1,
    seconds: Annotated[float, typer.Option(min=5, help="At each rate.")] = 20,
) -> None:
    """Prints a table in Markdown: the signals at each share of the capacity."""
    server = Server(triton, metrics, image.read_bytes(), frames)
    capacity = capacity_per_s(server, seconds)
    typer.echo(f"{frames} image(s) a request, {frames * capacity:.1f} images/s at most, {server.cores()} cores\n")
    typer.echo("| offered | answered, images/s | processor time | queue / compute | pending requests |")
    typer.echo("|---|---|---|---|---|")
    for share in SHARES:
        seen = observe(server, share * capacity, share, frames, seconds)
        typer.echo(
            f"| {share:.0%} | {seen.answered_per_s:.1f} | {seen.processor_share:.0%} | {seen.queue_over_compute:.2f} "
            f"| {seen.pending:.1f} |"
        )
        while any(
            value for (name, _), value in server.metrics().items() if name == "nv_inference_pending_request_count"
        ):
            time.sleep(1)  # what is left of this rate is not the next one's


if __name__ == "__main__":
    typer.run(main)
