"""Traces: one per request, continued from the caller and to Triton, and nothing of them where they are off."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway import GatewaySettings, create_app
from tests.inference_server import InferenceServer, jpeg
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SERVER, CLIENT = 2, 3


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


class TracedGateway:
    """An application whose traces go to the receiver."""

    def __init__(self, server: InferenceServer, media_root: Path, receiver: OtlpReceiver) -> None:
        (media_root / "s3cret.jpg").write_bytes(jpeg("p=0.5"))
        settings = GatewaySettings(
            media_root=media_root, triton_url=server.url, triton_outage_wait_s=0,
            otel_exporter_otlp_endpoint=receiver.url,
        )  # fmt: skip
        self.app = create_app(settings)
        self.receiver = receiver

    def infer(self, path: str = "s3cret.jpg", **headers: str) -> Any:
        body = {"mediaType": "IMAGE", "extractedFrames": path}
        return self.app.test_client().post("/api/v1/inference", json=body, headers=headers)

    def spans(self) -> list[ReceivedSpan]:
        self.app.extensions["deepfake_gateway"].telemetry.tracing.flush()
        return self.receiver.spans


@pytest.fixture
def traced(server: InferenceServer, media_root: Path, receiver: OtlpReceiver) -> Iterator[TracedGateway]:
    made = TracedGateway(server, media_root, receiver)
    yield made
    made.app.extensions["deepfake_gateway"].detector.close()


def test_one_trace_from_the_caller_to_triton(traced: TracedGateway, server: InferenceServer) -> None:
    response = traced.infer(traceparent=f"{CALLER}-01", **{"X-Request-ID": "mine"})
    assert response.status_code == 200
    spans = {span.name: span for span in traced.spans()}
    assert {span.trace_id for span in spans.values()} == {TRACE_ID}
    request = spans["POST /api/v1/inference"]
    steps = [spans["read frames"], spans["score frames"]]
    call = spans["inference.GRPCInferenceService/ModelInfer"]
    assert (request.kind, call.kind) == (SERVER, CLIENT)
    assert request.parent_id == "b7ad6b7169203331"
    assert [step.parent_id for step in steps] == [request.span_id] * 2
    assert call.parent_id == spans["score frames"].span_id
    assert {span.service for span in spans.values()} == {"deepfake-gateway"}
    assert request.attributes["http.route"] == "/api/v1/inference"
    assert request.attributes["http.response.status_code"] == "200"
    assert request.attributes["deepfake.request_id"] == call.attributes["deepfake.request_id"] == "mine"
    assert not any(span.error for span in spans.values())
    (received,) = server.received
    assert received.request_id == "mine"
    assert received.metadata["traceparent"] == f"00-{TRACE_ID}-{call.span_id}-01"


def test_without_a_caller_s_trace_it_begins_one(traced: TracedGateway, server: InferenceServer) -> None:
    for header in ({}, {"traceparent": "nonsense"}):
        traced.infer(**header)
    requests = [span for span in traced.spans() if span.kind == SERVER]
    assert len({span.trace_id for span in requests}) == 2
    assert {span.parent_id for span in requests} == {""}
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", server.received[0].metadata["traceparent"])


def test_a_trace_that_the_caller_does_not_sample_is_not_sent(traced: TracedGateway, server: InferenceServer) -> None:
    assert traced.infer(traceparent=f"{CALLER}-00").status_code == 200
    assert traced.spans() == []
    assert "traceparent" not in server.received[0].metadata


def test_failures_are_marked(traced: TracedGateway, server: InferenceServer) -> None:
    server.behaviour.error = (grpc.StatusCode.INTERNAL, "s3cret detail")
    assert traced.infer().status_code == 503
    assert traced.infer("../outside").status_code == 403
    spans = traced.spans()
    failed = {(span.name, span.attributes.get("error.type")) for span in spans if span.error}
    assert failed == {
        ("POST /api/v1/inference", "MODEL_UNAVAILABLE"), ("score frames", "MODEL_UNAVAILABLE"),
        ("inference.GRPCInferenceService/ModelInfer", "MODEL_UNAVAILABLE"), ("read frames", "PATH_OUTSIDE_MEDIA_ROOT"),
    }  # fmt: skip
    assert "s3cret" not in str(spans), "neither paths nor messages"


def test_what_only_watches_is_not_traced(traced: TracedGateway, server: InferenceServer) -> None:
    client = traced.app.test_client()
    for path in ("/health", "/metrics", "/", "/static/page.css", "/nowhere"):
        client.get(path).close()
    assert traced.spans() == []
    assert server.received, "a canary"
    assert "traceparent" not in server.received[0].metadata


def test_a_collector_that_is_away_costs_no_request(server: InferenceServer, media_root: Path) -> None:
    with otlp_receiver() as receiver:
        pass
    traced = TracedGateway(server, media_root, receiver)
    assert traced.infer().status_code == 200
    started = time.monotonic()
    traced.spans()
    assert time.monotonic() - started < 5, "a stop waits as long"
    traced.app.extensions["deepfake_gateway"].detector.close()
