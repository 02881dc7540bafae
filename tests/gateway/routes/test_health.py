"""GET /health tells the truth: a success is the proof, not a ready flag."""

import importlib.metadata
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_service_errors import wait_until

KEYS = ["status", "service", "version", "model", "model_status", "timestamp"]


def canaries(gateway: Gateway) -> int:
    return sum(received.request_id == "health-canary" for received in gateway.server.received)


def test_healthy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.version.version", lambda name: {"deepfake-serving": "1.2.3"}[name])
    response = gateway.http.get("/health")
    assert response.status_code == 200
    body = response.json
    assert list(body) == [*KEYS, "release_id", "precision", "trained", "notice"]
    assert body["status"] == "healthy"
    assert body["service"] == "deepfake-detection-ml-service"
    assert body["version"] == "1.2.3"
    assert body["model"] == "example/detector"
    assert body["model_status"] == "loaded"
    timestamp = datetime.fromisoformat(body["timestamp"])
    assert timestamp.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - timestamp) < timedelta(seconds=5)
    assert (body["release_id"], body["precision"], body["trained"]) == ("0123456789ab", "fp32", True)
    assert canaries(gateway) == 1


def test_not_installed_has_no_version(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("gateway.version.version", absent)
    assert gateway.http.get("/health").json["version"] == "unknown"


def test_without_a_server_it_is_unhealthy_within_5_s(gateway: Gateway) -> None:
    gateway.server.stop()
    started = time.monotonic()
    response = gateway.http.get("/health")
    assert time.monotonic() - started < 5
    assert response.status_code == 503
    assert list(response.json) == [*KEYS, "reason"]
    assert response.json["reason"] == "MODEL_UNAVAILABLE"
    assert response.json["model"] == "unknown"
    assert (response.json["status"], response.json["model_status"]) == ("unhealthy", "not_loaded")


def test_server_that_dies_and_comes_back(gateway: Gateway) -> None:
    gateway.configure(health_fresh_s=0)
    assert gateway.http.get("/health").status_code == 200
    gateway.server.stop()
    started = time.monotonic()
    response = gateway.http.get("/health")
    assert time.monotonic() - started < 5
    assert response.status_code == 503
    assert response.json["model"] == "example/detector"
    gateway.server.start()
    wait_until(lambda: gateway.http.get("/health").status_code == 200)


def test_a_hanging_server_is_unhealthy_within_the_limit(gateway: Gateway) -> None:
    gateway.configure(canary_timeout_s=0.4)
    gateway.server.behaviour.gate = threading.Event()
    started = time.monotonic()
    response = gateway.http.get("/health")
    assert (response.status_code, response.json["reason"]) == (503, "DEADLINE")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "error",
    [(grpc.StatusCode.INTERNAL, "Stub process is not healthy"), (grpc.StatusCode.UNAVAILABLE, "maximum queue size")],
)
def test_ready_flag_is_no_proof(gateway: Gateway, error: tuple[grpc.StatusCode, str]) -> None:
    gateway.server.behaviour.error = error
    assert gateway.http.get("/health").status_code == 503


def test_canary_that_is_not_scored_is_no_proof(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.scoring.health_monitor.canary_image", lambda: b"status=7")
    assert gateway.http.get("/health").status_code == 503


def test_nan_is_no_proof(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.scoring.health_monitor.canary_image", lambda: b"p=nan")
    assert gateway.http.get("/health").status_code == 503


def test_an_odd_failure_is_unhealthy_not_500(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.scoring.health_monitor.canary_image", lambda: 1 / 0)
    for _ in range(2):  # and the next check runs again
        assert gateway.http.get("/health").status_code == 503


def test_every_canary_is_a_new_image(gateway: Gateway) -> None:
    gateway.configure(health_fresh_s=0)
    for _ in range(3):
        gateway.http.get("/health")
    images = {received.images for received in gateway.server.received}
    assert len(images) == 3
    assert all(image.startswith(b"\x89PNG") for (image,) in images)


def test_a_recent_success_counts(gateway: Gateway) -> None:
    assert gateway.infer(mediaType="IMAGE", extractedFrames=gateway.frames([0.5])).status_code == 200
    response = gateway.http.get("/health")
    assert response.status_code == 200
    assert response.json["model"] == "example/detector"
    assert canaries(gateway) == 0


def test_overload_and_deadlines_do_not_undo_a_success(gateway: Gateway) -> None:
    gateway.configure(score_cache_frames=0)  # the same frame shall reach Triton again
    paths = gateway.frames([0.5])
    gateway.infer(mediaType="IMAGE", extractedFrames=paths)
    for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED):
        gateway.server.behaviour.error = (code, "busy")
        assert gateway.infer(mediaType="IMAGE", extractedFrames=paths).status_code in (503, 504)
        assert gateway.http.get("/health").status_code == 200


def test_a_broken_service_undoes_a_success(gateway: Gateway) -> None:
    gateway.configure(score_cache_frames=0)  # the same frame shall reach Triton again
    paths = gateway.frames([0.5])
    gateway.infer(mediaType="IMAGE", extractedFrames=paths)
    gateway.server.behaviour.error = (grpc.StatusCode.INTERNAL, "Stub process is not healthy")
    assert gateway.infer(mediaType="IMAGE", extractedFrames=paths).status_code == 503
    assert gateway.http.get("/health").status_code == 503


def test_a_skipped_frame_is_no_success(gateway: Gateway) -> None:
    assert gateway.infer(mediaType="IMAGE", extractedFrames=gateway.write("a.jpg", "status=2")).status_code == 422
    gateway.http.get("/health")
    assert canaries(gateway) == 1


def test_a_success_grows_old(gateway: Gateway) -> None:
    gateway.configure(health_fresh_s=0.05)
    gateway.infer(mediaType="IMAGE", extractedFrames=gateway.frames([0.5]))
    time.sleep(0.06)
    gateway.http.get("/health")
    assert canaries(gateway) == 1


@pytest.mark.parametrize("scored", [True, False])
def test_checks_at_once_share_one_canary(gateway: Gateway, scored: bool) -> None:
    gateway.configure(health_fresh_s=0)
    gateway.http.get("/health")
    gateway.server.received.clear()
    gate = gateway.server.behaviour.gate = threading.Event()
    if not scored:
        gateway.server.behaviour.error = (grpc.StatusCode.INVALID_ARGUMENT, "broken")
    with ThreadPoolExecutor(6) as pool:
        checks = [pool.submit(gateway.app.test_client().get, "/health") for _ in range(6)]
        wait_until(lambda: gateway.server.received)
        time.sleep(0.1)  # lets the others arrive
        gate.set()
        assert {check.result().status_code for check in checks} == {200 if scored else 503}
    assert canaries(gateway) == 1
