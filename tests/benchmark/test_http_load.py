"""The load generator against a real HTTP server that counts, and stalls when told to."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmark.arrivals import arrival_offsets
from benchmark.http_load import LoadError, LoadPlan, LoadResult, run_load
from benchmark.http_requests import HttpRequests, detect_requests, inference_requests, predict_requests


class CountingServer(ThreadingHTTPServer):
    """Answers every POST; keeps the bodies.

    Attributes:
        bodies: In the order of arrival.
        busy: Held while a request is answered, if `serial`: one at a time.
        answer_s: How long an answer takes.
        status: Of every answer.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer_s: float, serial: bool, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer_s, self.serial, self.status = answer_s, serial, status
        self.bodies: list[bytes] = []
        self.content_types: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.lock, self.busy = threading.Lock(), threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.bodies.append(body)
            server.content_types.add(self.headers["Content-Type"])
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        if server.serial:
            with server.busy:
                time.sleep(server.answer_s)
        else:
            time.sleep(server.answer_s)
        with server.lock:
            server.at_once -= 1
        answer = json.dumps({"path": urlsplit(self.path).path}).encode()
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def counting_server(answer_s: float = 0.0, serial: bool = False, status: int = 200) -> Iterator[CountingServer]:
    with CountingServer(answer_s, serial, status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def texts(count: int, images: int = 1) -> HttpRequests:
    return HttpRequests("/ask", "text/plain", images=images, texts=tuple(f"body {i}" for i in range(count)))


def test_closed_loop_sends_each_body_once_and_keeps_to_its_concurrency() -> None:
    with counting_server(answer_s=0.05) as server:
        result = run_load(server.url, texts(40, images=30), concurrency=4, request_count=40)
    assert sorted(server.bodies) == sorted(f"body {i}".encode() for i in range(40))
    assert server.content_types == {"text/plain"}
    assert server.most_at_once == 4
    assert (result.requests, result.failed, result.repeated_bodies) == (40, 0, 0)
    assert 0.5 <= result.seconds < 2
    assert result.images_per_s == pytest.approx(40 * 30 / result.seconds)
    assert 0.05 <= min(result.latencies_s) <= result.p50_s <= result.p90_s <= result.p95_s <= result.p99_s < 1
    assert json.loads(result.sample_answer) == {"path": "/ask"}
    assert 0 < result.generator_cpu_s < result.seconds
    assert abs(result.finished - time.time()) < 10


def test_a_duration_ends_the_closed_loop_and_bodies_repeat_when_they_are_used_up() -> None:
    with counting_server(answer_s=0.02) as server:
        result = run_load(server.url, texts(5), concurrency=2, duration_s=0.5)
    assert len(server.bodies) == result.requests > 10
    assert result.repeated_bodies == result.requests - 5
    assert 0.5 <= result.seconds < 1


def test_open_loop_latency_counts_from_the_intended_arrival() -> None:
    """20 arrivals within 0.2 s at a server that takes 0.05 s for each, one after the other: the last waits long."""
    with counting_server(answer_s=0.05, serial=True) as server:
        result = run_load(server.url, texts(20), rate_per_s=100, request_count=20)
    assert server.most_at_once > 10
    assert result.seconds == pytest.approx(1.0, abs=0.3)
    assert max(result.latencies_s) == pytest.approx(20 * 0.05 - 0.19, abs=0.3)
    assert result.latencies_s[0] < 0.3


def test_open_loop_holds_its_rate() -> None:
    with counting_server(answer_s=0.2) as server:
        result = run_load(server.url, texts(100), rate_per_s=50, arrivals="constant", duration_s=1.0)
    assert result.requests == 50
    assert result.seconds == pytest.approx(0.98 + 0.2, abs=0.2)


def test_failures_are_counted_by_kind_and_have_no_latency() -> None:
    with counting_server(status=503) as server:
        refused = run_load(server.url, texts(3), concurrency=1, request_count=3)
    assert (refused.errors, refused.latencies_s, refused.images_per_s) == ({"HTTP 503": 3}, [], 0.0)
    with counting_server(answer_s=1.0) as server:
        slow = run_load(server.url, texts(2), concurrency=2, request_count=2, timeout_s=0.2)
    assert slow.failed == 2
    assert "HTTP" not in str(slow.errors)
    gone = run_load(server.url, texts(2), concurrency=1, request_count=2)
    assert gone.errors == {"ConnectionRefusedError": 2}


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with counting_server() as server:
        result = run_load(server.url, predict_requests([tmp_path / "no.jpg"]), concurrency=1, request_count=1)
    assert result.errors == {f"{tmp_path}/no.jpg: No such file or directory": 1}


def test_a_generator_that_fails_is_not_a_slow_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no HTTP URL"):
        run_load("localhost:1", texts(1), concurrency=1, request_count=1)
    monkeypatch.setattr("benchmark.http_load.sys.executable", "false")
    with pytest.raises(LoadError, match="ended with code 1"):
        run_load("http://localhost:1", texts(1), concurrency=1, request_count=1)


def test_percentiles_are_of_answers() -> None:
    latencies = [i / 100 for i in range(101)]
    result = LoadResult(latencies[::-1], latencies, {"HTTP 500": 1}, 100.0, 110.0, 2, 0, 0.1, "")
    assert (result.p50_s, result.p90_s, result.p99_s) == (0.5, 0.9, 0.99)
    assert result.images_per_s == pytest.approx(20.2)
    assert result.requests_per_s == pytest.approx(10.1)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(arrival_offsets(LoadPlan(rate_per_s=4, duration_s=1.0))) == [0.0, 0.25, 0.5, 0.75]
    assert list(arrival_offsets(LoadPlan(rate_per_s=4, request_count=2))) == [0.0, 0.25]


def test_poisson_arrivals_keep_the_rate_and_depend_on_the_seed() -> None:
    plan = LoadPlan(rate_per_s=50, arrivals="poisson", duration_s=100)
    offsets = list(arrival_offsets(plan))
    gaps = [b - a for a, b in itertools.pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.02, rel=0.1)
    assert deviation == pytest.approx(mean, rel=0.1)  # of an exponential distribution
    assert list(arrival_offsets(plan)) == offsets
    assert list(arrival_offsets(LoadPlan(rate_per_s=50, arrivals="poisson", duration_s=100, seed=1))) != offsets


@pytest.mark.parametrize(
    "arguments",
    [
        {"concurrency": 1},
        {"request_count": 1},
        {"concurrency": 1, "rate_per_s": 1.0, "request_count": 1},
        {"concurrency": 0, "request_count": 1},
    ],
)
def test_plans_that_contradict_themselves_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"name|above 0"):
        LoadPlan(**arguments)  # type: ignore[arg-type]


def test_request_makers(tmp_path: Path) -> None:
    frames = [tmp_path / f"{i}.jpg" for i in range(65)]
    for i, frame in enumerate(frames):
        frame.write_bytes(b"jpeg%d" % i)
    assert predict_requests(frames).body(3) == b"jpeg3"
    form = detect_requests(frames)
    assert form.body(2).startswith(b"--")
    assert b"\r\n\r\njpeg2\r\n--" in form.body(2)
    videos = inference_requests(frames, tmp_path)
    assert (len(videos), videos.images) == (2, 30)
    assert json.loads(videos.body(1)) == {"mediaType": "VIDEO", "extractedFrames": [f"{i}.jpg" for i in range(30, 60)]}
    assert videos.skip(1).body(0) == videos.body(1)
    assert form.skip(64).body(1) == form.body(0)
    with pytest.raises(ValueError, match="need bodies"):
        inference_requests(frames[:2], tmp_path)
