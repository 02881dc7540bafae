"""GET /metrics: what is counted, where it is shown, and that a scrape asks nothing of the model."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from gateway import GatewaySettings, create_app
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_detect import upload, video
from tests.inference_server import InferenceServer, jpeg
from tests.prometheus import Page

PREFIX = "deepfake_gateway_"


def metrics_of(gateway: Gateway) -> Page:
    response = gateway.http.get("/metrics")
    assert response.status_code == 200
    assert response.mimetype == "text/plain"
    return Page.parse(response.text)


def test_requests_are_counted_by_route_method_and_status(gateway: Gateway) -> None:
    paths = gateway.frames([0.5])
    for _ in range(3):
        assert gateway.infer(mediaType="IMAGE", extractedFrames=paths).status_code == 200
    gateway.http.get("/health")
    assert gateway.http.get("/detect").status_code == 405
    page = metrics_of(gateway)
    count = f"{PREFIX}requests_total"
    assert page.value(count, route="/api/v1/inference", method="POST", status="200") == 3
    assert page.value(count, route="/health", method="GET", status="200") == 1
    assert page.value(count, route="unmatched", method="GET", status="405") == 1
    duration = f"{PREFIX}request_duration_seconds"
    assert page.value(f"{duration}_count", route="/api/v1/inference") == 3
    assert 0 < page.value(f"{duration}_sum", route="/api/v1/inference") < 30
    assert page.value(f"{duration}_bucket", route="/api/v1/inference", le="+Inf") == 3


def test_what_callers_write_makes_no_series(gateway: Gateway) -> None:
    for index in range(20):
        gateway.http.get(f"/secret-{index}?key=secret")
        gateway.http.open("/detect", method=f"SECRET{index}")
    page = metrics_of(gateway)
    assert page.value(f"{PREFIX}requests_total", route="unmatched", method="GET", status="404") == 20
    assert page.value(f"{PREFIX}requests_total", route="unmatched", method="OTHER", status="405") == 20
    assert "secret" not in str(page.samples).lower()


def test_refusals_are_counted_by_reason(gateway: Gateway) -> None:
    assert gateway.infer({}).status_code == 400
    assert gateway.infer(mediaType="AUDIO").status_code == 415
    gateway.infer(mediaType="IMAGE", extractedFrames="../x")
    gateway.configure(max_in_flight=1)  # a new application counts from 0
    gateway.app.extensions["deepfake_gateway"].slots.acquire()
    assert gateway.infer({}).status_code == 503
    page = metrics_of(gateway)
    assert page.value(f"{PREFIX}refusals_total", route="/api/v1/inference", reason="OVERLOADED") == 1
    assert page.value(f"{PREFIX}refusals_total", route="/api/v1/inference", reason="MALFORMED_REQUEST") == 0
    assert page.value(f"{PREFIX}refusals_total", route="/detect", reason="OVERLOADED") == 0


def test_frames_are_counted_by_status_and_probability(gateway: Gateway) -> None:
    paths = [
        gateway.write("good.jpg", "p=0.95 face"), gateway.write("other.jpg", "p=0.15"),
        gateway.write("bad.jpg", "status=2"), "absent.jpg",
    ]  # fmt: skip
    assert gateway.infer(mediaType="VIDEO", extractedFrames=paths).status_code == 200
    assert upload(gateway, jpeg("p=0.96 face")).status_code == 200
    assert upload(gateway, jpeg("status=6")).status_code == 422
    assert upload(gateway, video()).status_code == 200
    page = metrics_of(gateway)
    frames = f"{PREFIX}frames_total"
    statuses = {dict(labels)["status"]: value for (name, labels), value in page.samples.items() if name == frames}
    assert statuses.pop("OK") == 15
    assert statuses == {"NOT_AN_IMAGE": 1, "DECODE_FAILED": 1, "INTERNAL": 0, "UNREADABLE": 1}
    assert page.value(f"{PREFIX}frames_with_face_total") == 2
    probability = f"{PREFIX}frame_fake_probability"
    assert page.value(f"{probability}_count") == 15
    assert page.value(f"{probability}_bucket", le="1.0") - page.value(f"{probability}_bucket", le="0.9") >= 2
    verdicts = {labels: value for (name, labels), value in page.samples.items() if name == f"{PREFIX}verdicts_total"}
    assert verdicts[frozenset({("media_type", "image"), ("verdict", "fake")})] == 1
    assert sum(verdicts.values()) == 2


def test_the_score_cache_counts_hits_and_misses(gateway: Gateway) -> None:
    paths = gateway.frames([0.1, 0.2, 0.3])
    gateway.infer(mediaType="VIDEO", extractedFrames=paths)
    gateway.infer(mediaType="VIDEO", extractedFrames=paths[:2])
    page = metrics_of(gateway)
    assert page.value(f"{PREFIX}score_cache_frames_total", result="hit") == 2
    assert page.value(f"{PREFIX}score_cache_frames_total", result="miss") == 3


def test_requests_to_triton_are_timed_and_counted_by_outcome(server: InferenceServer, media_root: Path) -> None:
    app = create_app(
        GatewaySettings(media_root=media_root, triton_url=server.url, triton_outage_wait_s=0, score_cache_frames=0)
    )
    (media_root / "a.jpg").write_bytes(jpeg("p=0.5"))
    ask: Any = {"mediaType": "IMAGE", "extractedFrames": "a.jpg"}
    assert app.test_client().post("/api/v1/inference", json=ask).status_code == 200
    server.behaviour.error = (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
    assert app.test_client().post("/api/v1/inference", json=ask).status_code == 503
    page = Page.parse(app.test_client().get("/metrics").text)
    assert page.value(f"{PREFIX}triton_requests_total", code="OK") == 1
    assert page.value(f"{PREFIX}triton_requests_total", code="OVERLOADED") == 3  # tries
    assert page.value(f"{PREFIX}triton_requests_total", code="DEADLINE") == 0
    assert page.value(f"{PREFIX}triton_request_duration_seconds_count") == 4
    app.extensions["deepfake_gateway"].detector.close()


def test_health_and_identity_are_what_was_seen_last(gateway: Gateway) -> None:
    page = metrics_of(gateway)
    assert f"{PREFIX}healthy" not in page.names, "nothing is known yet"
    assert page.value(f"{PREFIX}request_deadline_seconds") == 25
    assert page.value(f"{PREFIX}detections_limit") == 12
    assert gateway.http.get("/health").status_code == 200
    page = metrics_of(gateway)
    assert page.value(f"{PREFIX}healthy") == 1
    (info,) = (dict(labels) for name, labels in page.samples if name == f"{PREFIX}build_info")
    assert info.pop("version")
    assert info == {"model": "example/detector", "release_id": "0123456789ab", "precision": "fp32", "trained": "true"}
    gateway.configure(health_fresh_s=0)
    gateway.server.stop()
    assert gateway.http.get("/health").status_code == 503
    assert metrics_of(gateway).value(f"{PREFIX}healthy") == 0


def test_a_scrape_runs_no_inference(gateway: Gateway) -> None:
    for _ in range(3):
        metrics_of(gateway)
    assert gateway.server.received == []


def test_names_follow_the_conventions(gateway: Gateway) -> None:
    page = metrics_of(gateway)
    for name, kind in page.types.items():
        assert name.startswith(PREFIX)
        assert kind in ("counter", "gauge", "histogram"), name
        if kind == "histogram":
            assert name.endswith(("_seconds", "_probability")), name
    counters = {name for name, kind in page.types.items() if kind == "counter"}
    assert {name for name in page.names if name.endswith("_total")} == {f"{name}_total" for name in counters}


@pytest.mark.parametrize(("host", "served"), [("127.0.0.1", 200), ("localhost", 200), ("::1", 200), ("0.0.0.0", 404)])
def test_they_are_on_the_public_port_only_where_it_is_not_public(gateway: Gateway, host: str, served: int) -> None:
    gateway.configure(host=host)
    assert gateway.http.get("/metrics").status_code == served


def test_they_can_be_switched_off(gateway: Gateway) -> None:
    gateway.configure(metrics_enabled=False)
    assert gateway.infer(mediaType="IMAGE", extractedFrames=gateway.frames([0.5])).status_code == 200
    assert gateway.http.get("/metrics").status_code == 404


def test_what_is_off_is_not_imported(media_root: Path) -> None:
    code = """if True:
        import sys
        from gateway import GatewaySettings, create_app
        create_app(GatewaySettings(metrics_enabled=False))
        print(*{name.split(".")[0] for name in sys.modules})
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"opentelemetry", "pythonjsonlogger", "waitress"} & set(done.stdout.split())


def test_they_need_an_api_key_where_keys_are_asked_for(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("")
    gateway.configure(api_keys_file=keys)
    assert gateway.http.get("/metrics").status_code == 401


def test_the_ports_must_differ() -> None:
    with pytest.raises(ValidationError, match="METRICS_PORT"):
        GatewaySettings(port=5000, metrics_port=5000)
