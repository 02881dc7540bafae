"""Bodies of requests that are refused unread: they hold no thread, and an honest sender gets his answer."""

import contextlib
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest
import requests
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from gateway.unread_bodies import UnreadBodies
from tests.gateway.gateway_process import GatewayProcess, run_gateway
from tests.inference_server import InferenceServer, jpeg

REFUSED = [
    b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\n",
    b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /no/such/route HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n",
    b"GET /static/page.js HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n",
]


def status_of_answer(connection: socket.socket) -> int:
    """Reads one answer, its body included, and nothing after it."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def test_refused_senders(server: InferenceServer, tmp_path: Path) -> None:
    with run_gateway(server, tmp_path, MAX_BODY_BYTES="2000000") as gateway:
        for head in REFUSED:
            _announcing_a_body_holds_no_thread(gateway, head)
        _an_honest_sender_gets_his_answer(gateway)


def _announcing_a_body_holds_no_thread(gateway: GatewayProcess, head: bytes) -> None:
    connections = []
    try:
        for _ in range(50):
            connections.append(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            connections[-1].sendall(head)
        started = time.monotonic()
        for _ in range(5):
            assert requests.get(f"{gateway.url}/health", timeout=10).status_code == 200
            assert requests.post(f"{gateway.url}/detect", files={"file": jpeg("p=0.9")}, timeout=10).status_code == 200
        assert time.monotonic() - started < 2.5, head
        assert connections[0].recv(9) == b"HTTP/1.1 ", head
    finally:
        for connection in connections:
            connection.close()


def _an_honest_sender_gets_his_answer(gateway: GatewayProcess) -> None:
    content = b"\0" * 1_000_000
    with requests.Session() as session:
        for _ in range(20):
            wrong = session.post(
                f"{gateway.url}/detect", data=content, headers={"Content-Type": "text/plain"}, timeout=10
            )
            assert wrong.status_code == 415
            large = session.post(f"{gateway.url}/detect", files={"file": content + content}, timeout=10)
            assert large.status_code == 413
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as slow:
        slow.sendall(REFUSED[0])
        assert status_of_answer(slow) == 415
        time.sleep(0.3)
        slow.sendall(b"x" * 99 + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status_of_answer(slow) == 200, "the connection can be used on"


@pytest.mark.timeout(30)
def test_a_body_that_is_never_finished_is_given_up(server: InferenceServer, tmp_path: Path) -> None:
    with (
        run_gateway(server, tmp_path) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as idle,
    ):
        idle.sendall(REFUSED[0])
        assert status_of_answer(idle) == 415
        started = time.monotonic()
        assert idle.recv(100) == b"", "closed"
        assert 1 < time.monotonic() - started < 4.5


@contextlib.contextmanager
def tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Not `socketpair`: only TCP takes what comes after its receiving side was shut."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sender,
        listener.accept()[0] as receiver,
    ):
        yield sender, receiver


def test_what_comes_after_a_body_was_given_up_is_no_request() -> None:
    unread = UnreadBodies(1)
    unread._waiting.acquire()  # another body is waited for
    with tcp_pair() as (sender, receiver):
        sender.sendall(REFUSED[0])
        parser = RequestParser(Config(), receiver, ("127.0.0.1", 1))
        unread.discard({"gunicorn.socket": receiver, "wsgi.input": next(parser).body})
        kept = parser.finish_body(deadline=time.monotonic() + 1)  # as gunicorn decides on the connection
        assert not kept


def test_a_body_that_is_here_leaves_the_next_request() -> None:
    with tcp_pair() as (sender, receiver):
        sender.sendall(REFUSED[0] + b"x" * 99 + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        parser = RequestParser(Config(), receiver, ("127.0.0.1", 1))
        UnreadBodies(1).discard({"gunicorn.socket": receiver, "wsgi.input": next(parser).body})
        assert next(parser).path == "/next"
