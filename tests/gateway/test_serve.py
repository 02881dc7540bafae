"""`python -m gateway`: what waitress is set to, how it stops, and what callers see of it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from runtime.free_ports import free_ports
from tests.fuzz.http_mutation import BOUNDARY, form
from tests.gateway.gateway_process import GatewayProcess, run_gateway
from tests.gateway.routes.test_service_errors import wait_until
from tests.inference_server import Behaviour, InferenceServer, inference_server, jpeg

BODY = b"".join(form(jpeg("p=0.9")))
HEAD = (
    f"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n".encode()
)
CHUNKED = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n"
CROWD = 60  # more than there are threads


@pytest.fixture(scope="module")
def shared_server() -> Iterator[InferenceServer]:
    with inference_server() as running:
        yield running


@pytest.fixture(scope="module")
def shared(shared_server: InferenceServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One gateway for all tests that leave it as it is, started among files that would shadow its own modules."""
    folder = tmp_path_factory.mktemp("gateway")
    for name in ("waitress.py", "gateway.py", "deepfake_client.py"):
        (folder / name).write_text("raise SystemExit('imported from the working directory')")
    with run_gateway(shared_server, folder, SCORE_CACHE_FRAMES="0", MAX_JSON_BYTES="1000") as running:
        yield running


def exchange(gateway: GatewayProcess, content: bytes) -> bytes:
    """The whole answer, "" without one."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(content)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer


def detect(gateway: GatewayProcess, timeout_s: float = 20) -> int:
    return requests.post(f"{gateway.url}/detect", files={"file": jpeg("p=0.9")}, timeout=timeout_s).status_code


def test_a_body_in_chunks(shared: GatewayProcess) -> None:
    assert exchange(shared, CHUNKED + CHUNK + b"0\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (CHUNKED + b"zz\r\n", 400, b"MALFORMED_REQUEST"),
        (CHUNKED + b"-1\r\n\r\n", 400, b"MALFORMED_REQUEST"),
        (CHUNKED + b"5\r\nabcdefgh\r\n0\r\n\r\n", 400, b"MALFORMED_REQUEST"),
        (b"nonsense\r\n\r\n", 400, b"MALFORMED_REQUEST"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n", 431, b"HEADERS_TOO_LARGE"),
        (HEAD + b"Content-Length: 9999999999\r\n\r\n", 413, b"BODY_TOO_LARGE"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501, b"NOT_IMPLEMENTED"),
    ],
)
def test_what_the_server_itself_refuses_has_the_form_of_every_error(
    shared: GatewayProcess, sent: bytes, status: int, code: bytes
) -> None:
    head, _, body = exchange(shared, sent).partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head
    assert b"application/json" in head
    assert b"X-Request-Id" in head
    assert b'"code": "' + code in body
    assert requests.get(f"{shared.url}/health", timeout=10).status_code == 200


def test_too_large_a_body_is_told_the_limit(shared: GatewayProcess) -> None:
    answer = exchange(shared, HEAD + b"Content-Length: 9999999999\r\n\r\n")
    assert b"over the limit of 209715200 bytes" in answer


def test_a_refused_upload_leaves_its_connection_usable(shared: GatewayProcess) -> None:
    with requests.Session() as session:
        for _ in range(5):
            wrong = session.post(
                f"{shared.url}/detect", data=bytes(300_000), headers={"Content-Type": "text/plain"}, timeout=10
            )
            assert (wrong.status_code, wrong.headers.get("Connection")) == (415, None)


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nX-", HEAD + b"Content-Length: 99\r\n\r\n--"])
def test_a_crowd_that_sends_too_little_shuts_nobody_out(shared: GatewayProcess, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", shared.port), timeout=10))
            connection.sendall(sent)
        started = time.monotonic()
        for _ in range(5):
            assert requests.get(f"{shared.url}/health", timeout=5).status_code == 200
            assert detect(shared, timeout_s=5) == 200
        assert time.monotonic() - started < 3


def test_an_honest_slow_client_is_answered(shared: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as slow:
        for _ in range(2):  # the second on the same connection
            for character in b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":
                slow.sendall(bytes([character]))
                time.sleep(0.01)
            assert slow.recv(4000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [{"X-Forwarded-Proto": "https"}, {"SCRIPT_NAME": "/x"}])
def test_nothing_that_a_caller_says_of_a_proxy_is_believed(shared: GatewayProcess, sent: dict[str, str]) -> None:
    answer = requests.get(f"{shared.url}/health", headers={**sent, "X-Forwarded-For": "192.0.2.1"}, timeout=10)
    assert answer.status_code == 200
    assert "192.0.2.1" not in shared.logged()


def test_a_trusted_proxy_is_believed(server: InferenceServer, tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 192.0.2.1", "X-Forwarded-Proto": "https"}
    with run_gateway(server, tmp_path, TRUSTED_PROXIES="1") as gateway:
        requests.get(f"{gateway.url}/health", headers=forwarded, timeout=10)
        wait_until(lambda: "192.0.2.1" in gateway.logged())
        assert "203.0.113.9" not in gateway.logged(), "the proxy wrote the last one, the caller those before it"


def test_a_client_that_goes_frees_its_place(server: InferenceServer, tmp_path: Path) -> None:
    delay_s = 3.0
    with run_gateway(server, tmp_path, MAX_IN_FLIGHT="1", SCORE_CACHE_FRAMES="0") as gateway:
        server.behaviour = Behaviour(delay_s=delay_s)
        before = len(server.received)
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
            wait_until(lambda: len(server.received) > before)
            server.behaviour = Behaviour()
            assert detect(gateway) == 503  # the one place is taken
        gone = time.monotonic()
        wait_until(lambda: detect(gateway) == 200)
        assert time.monotonic() - gone < delay_s / 2
        wait_until(lambda: " 499 " in gateway.logged())  # no fault of the service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_is_here(server: InferenceServer, tmp_path: Path, number: signal.Signals) -> None:
    gate = threading.Event()
    with run_gateway(server, tmp_path) as gateway, ThreadPoolExecutor(2) as pool, requests.Session() as idle:
        idle.get(f"{gateway.url}/health", timeout=5)
        before = len(server.received)
        server.behaviour = Behaviour(gate=gate)
        working = pool.submit(detect, gateway)
        wait_until(lambda: len(server.received) > before)
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as half:
            half.sendall(HEAD)
            gateway.process.send_signal(number)
            wait_until(lambda: _is_closed(gateway.port))
            gate.set()
            assert working.result() == 200
            assert gateway.process.wait(10) == 0
    assert "Traceback" not in gateway.logged()


def _is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_address_that_is_taken_is_one_line(shared: GatewayProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway"], env={**os.environ, "PORT": str(shared.port)}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_metrics_have_a_port_of_their_own(server: InferenceServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with run_gateway(server, tmp_path, METRICS_PORT=str(port), HOST="0.0.0.0") as gateway:
        assert detect(gateway) == 200
        spoofed = {"Host": f"127.0.0.1:{port}"}
        assert requests.get(f"{gateway.url}/metrics", headers=spoofed, timeout=5).status_code == 404
        page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        assert 'deepfake_gateway_requests_total{method="POST",route="/detect",status="200"} 1.0' in page
        for path in ("/health", "/detect", "/openapi.json"):
            assert "openapi" not in requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).text


def test_the_application_runs_under_stock_gunicorn(server: InferenceServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    log = tmp_path / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--workers=2", "--threads=4"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "gateway.app:create_app()"], env={**os.environ, "DEEPFAKE_TRITON_URL": server.url},
            stdout=output, stderr=output,
        )  # fmt: skip
    gateway = GatewayProcess(port, process, log)
    try:
        wait_until(lambda: not _is_closed(port), timeout_s=30)
        assert [detect(gateway) for _ in range(4)] == [200] * 4
        assert requests.get(f"{gateway.url}/health", timeout=10).json()["status"] == "healthy"
    finally:
        process.terminate()
        process.wait(30)
