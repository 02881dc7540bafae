"""How many requests at a time, and what the others are told."""

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deepfake_client.scorer import Deadline
from gateway.errors import ApiError
from gateway.routes.admission import VideoTurns
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import upload, video
from tests.gateway.routes.test_service_errors import wait_until
from tests.inference_server import jpeg


def test_a_full_disk_is_overload(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gateway.routes.uploads.SpooledTemporaryFile", full)
    error_of(upload(gateway, jpeg("p=0.9")), 503, "OVERLOADED")


def test_a_free_slot_is_never_refused(gateway: Gateway) -> None:
    """With as many callers as slots, whatever their requests look like."""
    gateway.configure(max_in_flight=4)
    image = {"mediaType": "IMAGE", "extractedFrames": gateway.frames([0.5])}

    def ask(number: int) -> int:
        client = gateway.app.test_client()
        body: Any = image if number % 2 else {}
        return max(client.post("/api/v1/inference", json=body).status_code for _ in range(30))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {200, 400}


def test_videos_take_turns_and_images_pass_them(gateway: Gateway) -> None:
    gateway.configure(max_video_decodes=1, max_in_flight=6, retry_after_s=4)
    assert upload(gateway, jpeg("p=0.9")).status_code == 200
    gate = gateway.server.behaviour.gate = threading.Event()
    clip = video()

    turns = gateway.app.extensions["deepfake_gateway"].videos
    with ThreadPoolExecutor(2) as pool:
        working, waiting = pool.submit(upload, gateway, clip), pool.submit(upload, gateway, clip)
        wait_until(lambda: turns._present._value == 0 and len(gateway.server.received) == 3)
        refused = upload(gateway, clip)
        error_of(refused, 503, "OVERLOADED")
        assert refused.headers["Retry-After"] == "4"
        assert len(gateway.server.received) == 3, "the image, and two chunks of one video"
        gate.set()
        assert upload(gateway, jpeg("p=0.9")).status_code == 200
        assert [future.result().status_code for future in (working, waiting)] == [200, 200]
    assert upload(gateway, clip).status_code == 200


def test_a_video_waits_half_of_its_time_at_most() -> None:
    turns = VideoTurns(1, retry_after_s=1)
    with turns.turn(Deadline(5)):
        started = time.monotonic()
        with pytest.raises(ApiError, match="too long"), turns.turn(Deadline(0.6)):
            pass
        assert 0.25 < time.monotonic() - started < 0.55
    with turns.turn(Deadline(5)):
        pass
