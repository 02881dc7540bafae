"""Clients that send slowly or nothing hold no detection slot, and cannot shut others out."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from deepfake_client import DeadlineExceededError
from deepfake_client.scorer import Deadline

from gateway import body_readers
from gateway.body_readers import BodyReaders
from gateway.errors import OverloadedRequestError
from gateway.scoring.admission import VideoTurns
from runtime.free_ports import free_ports
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import upload, video
from tests.gateway.routes.test_service_errors import wait_until
from tests.inference_server import Behaviour, InferenceServer, jpeg

HEADERS_ONLY = (
    b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 99\r\n\r\n"
)


@contextmanager
def gateway_process(server: InferenceServer, folder: Path, **settings: str) -> Iterator[str]:
    """`python -m gateway`, one worker, started in a folder of the test's."""
    (port,) = free_ports(1)
    environment = {**os.environ, "GATEWAY_WORKERS": "1", "PORT": str(port), "TRITON_URL": server.url, **settings}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        give_up = time.monotonic() + 30
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / "gateway.log").read_text()
                assert time.monotonic() < give_up
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(40)


def test_connections_that_only_send_headers_shut_nobody_out(server: InferenceServer, tmp_path: Path) -> None:
    with gateway_process(server, tmp_path) as url:
        port = int(url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
        try:
            for connection in idle:
                connection.sendall(HEADERS_ONLY)
            time.sleep(body_readers.GRACE_S + 0.5)
            started = time.monotonic()
            assert requests.get(f"{url}/health", timeout=5).status_code == 200
            for _ in range(5):
                response = requests.post(f"{url}/detect", files={"file": jpeg("p=0.9")}, timeout=5)
                assert response.status_code == 200, response.text
            assert time.monotonic() - started < 3
        finally:
            for connection in idle:
                connection.close()


def test_a_refused_upload_leaves_its_connection_usable(server: InferenceServer, tmp_path: Path) -> None:
    with gateway_process(server, tmp_path, MAX_IN_FLIGHT="1", SCORE_CACHE_FRAMES="0") as url:
        gate, before = threading.Event(), len(server.received)
        server.behaviour = Behaviour(gate=gate)
        with ThreadPoolExecutor(1) as pool, requests.Session() as session:
            held = pool.submit(requests.post, f"{url}/detect", files={"file": jpeg("p=0.9")}, timeout=30)
            wait_until(lambda: len(server.received) > before)
            upload_of = {"file": jpeg("p=0.1") + bytes(300_000)}
            statuses = [session.post(f"{url}/detect", files=upload_of, timeout=10).status_code for _ in range(20)]
            gate.set()
            assert held.result().status_code == 200
        assert statuses == [503] * 20


def test_the_working_directory_is_not_imported_from(server: InferenceServer, tmp_path: Path) -> None:
    for name in ("gunicorn.py", "gateway.py", "client.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working directory')")
    with gateway_process(server, tmp_path) as url:
        assert requests.get(f"{url}/health", timeout=5).json()["status"] == "healthy"


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for one in pair:
            one.close()


def test_the_longest_reading_makes_way_once_its_grace_is_over(
    pairs: list[tuple[socket.socket, socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_readers, "GRACE_S", 0.2)
    readers = BodyReaders(2, retry_after_s=3)

    def read(pair: tuple[socket.socket, socket.socket]) -> bytes:
        with readers.reading({"gunicorn.socket": pair[1]}, Deadline(5)):
            return pair[1].recv(10)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(read, pairs[0])
        wait_until(lambda: len(readers._readings) == 1)
        second = pool.submit(read, pairs[1])
        wait_until(lambda: len(readers._readings) == 2)
        with pytest.raises(OverloadedRequestError, match="being received"):
            read(pairs[2])
        time.sleep(0.25)
        pairs[2][0].sendall(b"quick")
        assert read(pairs[2]) == b"quick"
        with pytest.raises(OverloadedRequestError, match="too slowly") as caught:
            first.result(2)
        assert caught.value.retry_after_s == 3
        pairs[1][0].sendall(b"slow")
        assert second.result(2) == b"slow"
    assert readers._readings == []


def test_a_reader_is_given_back_whatever_happens() -> None:
    readers = BodyReaders(1, retry_after_s=1)
    with pytest.raises(KeyError), readers.reading({}, Deadline(5)):
        raise KeyError
    with pytest.raises(DeadlineExceededError), readers.reading({}, Deadline(-1)):
        pass
    with readers.reading({}, Deadline(5)):
        pass


def test_a_body_on_its_way_holds_no_detection_slot(gateway: Gateway) -> None:
    gateway.configure(max_in_flight=1, request_deadline_s=5)
    slow_side, server_side = socket.socketpair()
    with slow_side, server_side, server_side.makefile("rb") as body, ThreadPoolExecutor(1) as pool:
        environ = {
            "CONTENT_LENGTH": "2",
            "gunicorn.socket": server_side,
            "wsgi.input": body,
            "wsgi.input_terminated": True,
        }
        slow = pool.submit(
            gateway.app.test_client().post,
            "/api/v1/inference",
            content_type="application/json",
            environ_overrides=environ,
        )
        time.sleep(0.2)
        assert upload(gateway, jpeg("p=0.9")).status_code == 200
        slow_side.sendall(b"{}")
        slow_side.shutdown(socket.SHUT_WR)
        assert slow.result().status_code == 400


def test_a_full_disk_is_overload(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flask.Request._get_file_stream", full)
    error_of(upload(gateway, jpeg("p=0.9")), 503, "OVERLOADED")


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
        with pytest.raises(OverloadedRequestError, match="too long"), turns.turn(Deadline(0.6)):
            pass
        assert 0.25 < time.monotonic() - started < 0.55
    with turns.turn(Deadline(5)):
        pass
