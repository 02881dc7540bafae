"""Over a real Triton: one trace through both servers, the request id in it, and every metric that is watched."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from export.release import Release
from tests import dashboard
from tests.media import photo
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.prometheus import MONITORING, Page, run_prometheus
from tests.service import ROOT, Service, run_service

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass(frozen=True)
class Observed:
    """A service whose traces go to a receiver."""

    service: Service
    receiver: OtlpReceiver
    triton_metrics_url: str


@pytest.fixture(scope="module")
def observed(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    with otlp_receiver() as receiver:
        extra = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "DEEPFAKE_CANARY_INTERVAL_S": "0.5",
            "DEEPFAKE_LOG_FORMAT": "json",
        }
        folder = tmp_path_factory.mktemp("observed")
        with run_service(tiny_checkpoint, tiny_release.path.parent, folder, extra) as service:
            yield Observed(service, receiver, f"http://127.0.0.1:{service.triton_metrics_port}/metrics")


def test_one_trace_through_the_gateway_and_triton(observed: Observed) -> None:
    response = requests.post(
        f"{observed.service.url}/detect",
        files={"file": photo("astronaut.png").read_bytes()},
        headers={"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01", "X-Request-ID": "seen-by-triton"},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    spans = spans_when(observed.receiver, lambda spans: {s.service for s in spans} >= {"deepfake-triton"})
    by_id = {span.span_id: span for span in spans}
    (request,) = [span for span in spans if span.name == "POST /detect"]
    (call,) = [span for span in spans if span.name.endswith("ModelInfer")]
    assert request.parent_id == "00f067aa0ba902b7"
    triton = [span for span in spans if span.service == "deepfake-triton"]
    (top,) = [span for span in triton if span.parent_id == call.span_id]
    assert all(span.parent_id in by_id for span in triton), "one tree"
    assert top.name == "InferRequest"
    models = {span.name: span for span in triton if "triton.model_name" in span.attributes}
    assert set(models) == {"deepfake_detector", "preprocess", "classifier"}
    assert models["deepfake_detector"].parent_id == top.span_id
    assert models["classifier"].parent_id == models["deepfake_detector"].span_id
    # The caller's own request id has reached Triton as its gRPC request id.
    assert {span.attributes["triton.request_id"] for span in models.values()} == {"seen-by-triton"}
    # And the logs lead to the trace.
    log = next(observed.service.run_dir.glob("logs-*/gateway.log")).read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "seen-by-triton"]
    assert (line["trace_id"], line["status"], line["route"]) == (TRACE_ID, 200, "/detect")


def test_canaries_are_not_traced(observed: Observed) -> None:
    before = Page.fetch(observed.triton_metrics_url)
    time.sleep(1.5)  # two canaries of the supervisor
    after = Page.fetch(observed.triton_metrics_url)
    name = "nv_inference_request_success"
    labels = {"model": "deepfake_detector", "version": "1"}
    assert after.value(name, **labels) > before.value(name, **labels)
    time.sleep(0.5)
    assert {span.trace_id for span in observed.receiver.spans} <= {TRACE_ID}


def spans_when(receiver: OtlpReceiver, complete: Callable[[list[ReceivedSpan]], bool]) -> list[ReceivedSpan]:
    """The trace's spans, once they are complete and no more come."""
    give_up = time.monotonic() + 15
    count = -1
    while True:
        spans = receiver.trace(TRACE_ID)
        if complete(spans) and len(spans) == count:
            return spans
        count = len(spans)
        assert time.monotonic() < give_up, spans
        time.sleep(0.5)


def watched_names(text: str) -> set[str]:
    """Names of the gateway's and Triton's metrics in rules or in a dashboard, without those that rules record."""
    return set(re.findall(r"(?<![:\w])(?:deepfake_gateway|nv)_[a-z0-9_]+(?![:\w])", text))


ON_GPUS_ONLY = {
    "nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes", "nv_gpu_power_usage",
    "nv_gpu_power_limit",
}  # fmt: skip
ONLY_AFTER_FAILURES = {"nv_inference_request_failure"}


@pytest.mark.parametrize("file", ["alerts.yml", "grafana/dashboard.json"])
def test_every_watched_metric_exists(observed: Observed, file: str) -> None:
    ask_for_everything(observed.service)  # so that there are refusals to see
    names = Page.fetch(f"{observed.service.url}/metrics").names | Page.fetch(observed.triton_metrics_url).names
    watched = watched_names((MONITORING / file).read_text("utf-8"))
    assert len(watched) >= 8
    assert watched - names - ON_GPUS_ONLY == set()


def test_every_query_of_the_dashboard_has_data_under_load(observed: Observed, tmp_path: Path) -> None:
    give_up = time.monotonic() + 90
    with run_prometheus(tmp_path, observed.service.port, observed.service.triton_metrics_port) as prometheus:
        while without := queries_without_data(prometheus):
            assert time.monotonic() < give_up, without
            ask_for_everything(observed.service)
            time.sleep(1.5)  # a scrape
        assert numbers(prometheus, dashboard.annotations()["Releases"]) == [1.0]


def queries_without_data(prometheus: str) -> list[str]:
    """Of the dashboard, but those of a GPU and of failures."""
    return [
        f"{panel.title}: {query}"
        for panel in dashboard.panels()
        for query in panel.queries
        if not watched_names(query) & (ON_GPUS_ONLY | ONLY_AFTER_FAILURES)
        if not query.startswith("ALERTS")
        if not numbers(prometheus, query)
    ]


def numbers(prometheus: str, expression: str) -> list[float]:
    """The values that Prometheus answers now, without those that are no number; none while it starts."""
    try:
        answer = requests.get(f"{prometheus}/api/v1/query", {"query": expression}, timeout=10).json()
    except requests.RequestException:
        return []
    assert answer["status"] == "success", answer
    return [value for series in answer["data"]["result"] if (value := float(series["value"][1])) == value]


def ask_for_everything(service: Service) -> None:
    """Good detections, a file that is none, a path outside the media root, and no file at all."""
    still = photo("astronaut.png").read_bytes()
    (service.media_root / "frame.png").write_bytes(still)
    for content in (still, b"no media"):
        requests.post(f"{service.url}/detect", files={"file": content}, timeout=30)
    requests.post(f"{service.url}/detect", timeout=10)
    for path in ("frame.png", "../outside.png"):
        listed = {"mediaType": "IMAGE", "extractedFrames": [path]}
        requests.post(f"{service.url}/api/v1/inference", json=listed, timeout=30)
    requests.get(f"{service.url}/health", timeout=10)


def test_every_metric_of_the_gateway_is_documented(observed: Observed) -> None:
    documented = watched_names((ROOT / "docs" / "operations.md").read_text("utf-8"))
    families = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in Page.fetch(f"{observed.service.url}/metrics").names
        if not name.endswith("_created")
    }
    assert families == {name for name in documented if name.startswith("deepfake_gateway_")}
