"""The load generator against a real HTTP server that counts, and is slow when told to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.frames import make_face_frames
from benchmark.load import run_load
from benchmark.servers import BenchError, Server


class CountingServer(ThreadingHTTPServer):
    """Answers every POST after `answer_s`; keeps the bodies in the order of arrival."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer_s: float, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer_s, self.status = answer_s, status
        self.bodies: list[bytes] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.answer_s)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def counting_server(answer_s: float, status: int = 200) -> Iterator[tuple[CountingServer, Server]]:
    with CountingServer(answer_s, status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server, Server("counting", f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_face_frames(tmp_path_factory.mktemp("images"), 3)[0].parent


def test_a_closed_loop_keeps_to_its_clients_and_sends_no_body_twice(images: Path) -> None:
    with counting_server(answer_s=0.05) as (counting, server):
        found = run_load(server, images, seconds=1, clients=4)
    assert counting.most_at_once == 4
    assert len(set(counting.bodies)) == len(counting.bodies) == found.requests
    assert 30 < found.requests <= 84
    assert 50 <= found.p50_ms <= found.p99_ms < 1000
    assert found.images_per_s == pytest.approx(found.requests, rel=0.5)


def test_an_open_loop_does_not_wait_for_answers(images: Path) -> None:
    with counting_server(answer_s=0.4) as (counting, server):
        found = run_load(server, images, seconds=1, rate=20, arrivals="constant")
    assert found.requests == 20
    assert counting.most_at_once >= 5
    assert 400 <= found.p50_ms < 1500


def test_failed_requests_fail_the_load(images: Path) -> None:
    with counting_server(answer_s=0.01, status=503) as (_, server), pytest.raises(BenchError, match="503"):
        run_load(server, images, seconds=1)
