"""Triton's own account of where the time goes, per model, between two moments."""

import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import tritonclient.grpc as triton

_METRIC = re.compile(r'^nv_inference_(\w+)\{[^}]*model="([^"]+)"[^}]*\} ([\d.e+]+)$', re.MULTILINE)
_COMPUTE = ("compute_input_duration_us", "compute_infer_duration_us", "compute_output_duration_us")


@dataclass(frozen=True)
class ModelTotals:
    """Sums since the server started.

    Attributes:
        requests: Answered successfully.
        images: Of those.
        executions: Batches computed.
        total_ms: From arrival to answer.
        queue_ms: Of that waiting.
        compute_ms: Of that in the model, its inputs and outputs included.
    """

    requests: int = 0
    images: int = 0
    executions: int = 0
    total_ms: float = 0.0
    queue_ms: float = 0.0
    compute_ms: float = 0.0


@dataclass(frozen=True)
class ModelShare:
    """Means of one model over a time span.

    Attributes:
        model: Its name.
        requests: Answered in that time.
        images_per_execution: The mean batch.
        total_ms: Mean time of a request in the model.
        queue_ms: Mean wait in its queue.
        compute_ms: Mean computation.
    """

    model: str
    requests: int
    images_per_execution: float
    total_ms: float
    queue_ms: float
    compute_ms: float


def read_totals(grpc: str) -> dict[str, ModelTotals]:
    """The sums of every model.

    Raises:
        tritonclient.utils.InferenceServerException: The server does not answer.
    """
    with triton.InferenceServerClient(grpc) as client:
        statistics = client.get_inference_statistics(client_timeout=10)
    return {model.name: _totals(model) for model in statistics.model_stats}


def read_metrics(url: str) -> dict[str, ModelTotals]:
    """The same from Triton's Prometheus metrics, for where gRPC cannot be reached.

    Raises:
        OSError: The server does not answer.
    """
    with urllib.request.urlopen(url, timeout=10) as answer:
        return parse_metrics(answer.read().decode("utf-8"))


def parse_metrics(text: str) -> dict[str, ModelTotals]:
    """Reads the exposition text; versions and servers behind one address add up."""
    sums: dict[str, dict[str, float]] = {}
    for name, model, value in _METRIC.findall(text):
        of_model = sums.setdefault(model, {})
        of_model[name] = of_model.get(name, 0.0) + float(value)
    return {
        model: ModelTotals(
            requests=int(found.get("request_success", 0)),
            images=int(found.get("count", 0)),
            executions=int(found.get("exec_count", 0)),
            total_ms=found.get("request_duration_us", 0.0) / 1e3,
            queue_ms=found.get("queue_duration_us", 0.0) / 1e3,
            compute_ms=sum(found.get(name, 0.0) for name in _COMPUTE) / 1e3,
        )
        for model, found in sums.items()
    }


def _totals(model: "triton.service_pb2.ModelStatistics") -> ModelTotals:
    stats = model.inference_stats
    compute_ns = sum(int(part.ns) for part in (stats.compute_input, stats.compute_infer, stats.compute_output))
    return ModelTotals(
        requests=int(stats.success.count),
        images=int(model.inference_count),
        executions=int(model.execution_count),
        total_ms=int(stats.success.ns) / 1e6,
        queue_ms=int(stats.queue.ns) / 1e6,
        compute_ms=compute_ns / 1e6,
    )


def shares(before: Mapping[str, ModelTotals], after: Mapping[str, ModelTotals]) -> list[ModelShare]:
    """What happened between two readings, models without a request left out."""
    found = []
    for name, end in after.items():
        start = before.get(name, ModelTotals())
        requests = end.requests - start.requests
        if requests > 0:
            found.append(
                ModelShare(
                    model=name,
                    requests=requests,
                    images_per_execution=(end.images - start.images) / max(end.executions - start.executions, 1),
                    total_ms=(end.total_ms - start.total_ms) / requests,
                    queue_ms=(end.queue_ms - start.queue_ms) / requests,
                    compute_ms=(end.compute_ms - start.compute_ms) / requests,
                )
            )
    return sorted(found, key=lambda share: share.model)
