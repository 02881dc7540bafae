"""A client that goes away frees its place, and nothing more is asked of Triton for it."""

import socket
import time
from pathlib import Path

import requests

from benchmark.http_requests import detect_requests
from tests.gateway.routes.test_service_errors import wait_until
from tests.gateway.test_slow_clients import gateway_process
from tests.inference_server import Behaviour, InferenceServer, jpeg

_DELAY_S = 8.0


def _ask(port: int, image: Path) -> socket.socket:
    """A connection on which one request was sent."""
    sent = detect_requests([image])
    body = sent.body(0)
    connection = socket.create_connection(("127.0.0.1", port))
    head = (
        f"POST {sent.path} HTTP/1.1\r\nHost: x\r\nContent-Type: {sent.content_type}\r\nContent-Length: {len(body)}\r\n"
    )
    connection.sendall(f"{head}\r\n".encode() + body)
    return connection


def _status(url: str) -> int:
    return requests.post(f"{url}/detect", files={"file": jpeg("p=0.9")}, timeout=20).status_code


def test_a_client_that_goes_frees_its_place(server: InferenceServer, tmp_path: Path) -> None:
    image = tmp_path / "image.jpg"
    image.write_bytes(jpeg("p=0.4"))
    with gateway_process(server, tmp_path, MAX_IN_FLIGHT="1", SCORE_CACHE_FRAMES="0") as url:
        server.behaviour = Behaviour(delay_s=_DELAY_S)
        before = len(server.received)
        with _ask(int(url.rpartition(":")[2]), image):
            wait_until(lambda: len(server.received) > before)
            server.behaviour = Behaviour()
            assert _status(url) == 503  # the one place is taken
        gone = time.monotonic()
        wait_until(lambda: _status(url) == 200)
        assert time.monotonic() - gone < _DELAY_S / 2
    log = tmp_path / "gateway.log"
    wait_until(lambda: " 499 " in log.read_text())  # no fault of the service
