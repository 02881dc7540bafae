"""Connections that begin a request, or a TLS handshake, and do not go on: they hold no threads."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.gateway.gateway_process import GatewayProcess, run_gateway
from tests.gateway.test_transport import make_certificates
from tests.gateway.test_unread_bodies import status_of_answer
from tests.inference_server import InferenceServer, jpeg

CROWD = 60  # more than a worker has threads

Begin = Callable[[socket.socket], socket.socket]


def saying(text: bytes) -> Begin:
    def begin(connection: socket.socket) -> socket.socket:
        connection.sendall(text)
        return connection

    return begin


def handshaken(text: bytes) -> Begin:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def begin(connection: socket.socket) -> socket.socket:
        encrypted = context.wrap_socket(connection)
        encrypted.sendall(text)
        return encrypted

    return begin


IN_PLAIN_TEXT = (saying(b""), saying(b"G"), saying(b"GET / HTTP/1.1\r\nHost: x\r\nX-"))
ANSWERED = (saying(b"GET /nothing HTTP/1.0\r\n\r\n"), saying(b"nonsense\r\n\r\n"))
ENCRYPTED = (saying(b""), saying(b"\x16\x03\x01\x02\x00\x01"), handshaken(b""), handshaken(b"GET / HTT"))


def is_served(gateway: GatewayProcess) -> None:
    started = time.monotonic()
    for _ in range(3):
        health = requests.get(f"{gateway.url}/health", timeout=10, verify=gateway.verify)
        files = {"file": jpeg("p=0.9")}
        detected = requests.post(f"{gateway.url}/detect", files=files, timeout=10, verify=gateway.verify)
        assert (health.status_code, detected.status_code) == (200, 200)
    assert time.monotonic() - started < 2.5


def crowd(gateway: GatewayProcess, begin: Begin) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
            stack.callback(connection.close)
            with contextlib.suppress(OSError):  # the crowd is thinned out while it comes
                stack.callback(begin(connection).close)
        is_served(gateway)


def test_a_crowd_in_plain_text(server: InferenceServer, tmp_path: Path) -> None:
    with run_gateway(server, tmp_path) as gateway:
        for begin in IN_PLAIN_TEXT:
            crowd(gateway, begin)
        _an_honest_slow_client_is_answered(gateway)


def test_a_crowd_that_has_its_answers_and_stays(server: InferenceServer, tmp_path: Path) -> None:
    with run_gateway(server, tmp_path) as gateway:
        for begin in ANSWERED:
            crowd(gateway, begin)


def _an_honest_slow_client_is_answered(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as slow:
        for _ in range(2):  # the second on the same connection
            for character in b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n":
                slow.sendall(bytes([character]))
                time.sleep(0.03)
            assert status_of_answer(slow) == 200


def test_a_crowd_in_the_handshake(server: InferenceServer, tmp_path: Path) -> None:
    made = make_certificates(tmp_path, "127.0.0.1")
    with run_gateway(server, tmp_path, verify=str(made.authority), **made.settings) as gateway:
        for begin in ENCRYPTED:
            crowd(gateway, begin)


@pytest.mark.timeout(40)
def test_headers_that_never_end_are_given_up(server: InferenceServer, tmp_path: Path) -> None:
    with run_gateway(server, tmp_path) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as endless:
            started = time.monotonic()
            endless.sendall(b"GET / HTTP/1.1\r\n")
            endless.settimeout(0.5)
            while time.monotonic() - started < 12:
                try:
                    endless.sendall(b"X-More: x\r\n")
                    if endless.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            assert 4 < time.monotonic() - started < 8
        is_served(gateway)
