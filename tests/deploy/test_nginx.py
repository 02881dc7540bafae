"""nginx before the gateway: what reaches the gateway, and what is refused before it. The real nginx, a stub gateway."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import trustme

from gateway.settings import GatewaySettings
from runtime.free_ports import free_ports
from tests.media import photo
from tests.nginx import run_nginx
from tests.service import Service


@dataclass(frozen=True)
class Received:
    """A request as the gateway saw it."""

    path: str
    headers: Message
    body: bytes


@dataclass
class Gateway:
    """A stub that notes each request, and answers when `may_answer` is set."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    stub = Gateway()
    stub.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            stub.received.append(Received(self.path, self.headers, body))
            stub.may_answer.wait(10)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield stub
    server.shutdown()
    server.server_close()


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as sock:
        yield sock


def test_a_body_reaches_the_gateway_when_it_is_whole(gateway: Gateway) -> None:
    with run_nginx(gateway.port) as url, connection(url) as sock:
        sock.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 1_000_000)
        time.sleep(0.3)
        assert gateway.received == []
        sock.sendall(b"b" * 1_000_000)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    (received,) = gateway.received
    assert received.body == b"a" * 1_000_000 + b"b" * 1_000_000


def test_a_body_that_is_too_large_is_refused_in_json(gateway: Gateway) -> None:
    with run_nginx(gateway.port, DEEPFAKE_MAX_BODY_BYTES="1000") as url:
        answer = requests.post(f"{url}/detect", data=b"x" * 1001, headers={"X-Request-ID": "mine-1"}, timeout=10)
        assert requests.post(f"{url}/detect", data=b"x" * 1000, timeout=10).status_code == 200
    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (413, "BODY_TOO_LARGE", "mine-1")
    assert set(answer.json()) == {"error", "message", "code", "request_id"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"] == "mine-1"
    assert len(gateway.received) == 1


def test_its_largest_body_is_the_gateway_s(gateway: Gateway) -> None:
    limit = GatewaySettings(_cli_parse_args=False).max_body_bytes  # type: ignore[call-arg]
    head = "POST /detect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n"
    with run_nginx(gateway.port) as url:
        with connection(url) as sock:
            sock.sendall(head.format(limit + 1).encode())
            assert sock.recv(100).startswith(b"HTTP/1.1 413 ")
        with connection(url) as sock:
            sock.sendall(head.format(limit).encode())
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):  # it waits for the body
                sock.recv(100)


def test_a_client_that_asks_too_often_gets_429(gateway: Gateway) -> None:
    with run_nginx(gateway.port, RATE_LIMIT_PER_MINUTE="60") as url, requests.Session() as session:
        answers = [session.post(f"{url}/detect", data=b"x", timeout=10) for _ in range(120)]
        page = session.get(f"{url}/", timeout=10)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 10 < len(refused) < 20  # 100 at once, and one each second
    assert {answer.status_code for answer in answers} == {200, 429}
    assert refused[0].json()["code"] == "RATE_LIMITED"
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert page.status_code == 200  # pages and health checks do not count


def test_a_client_has_so_many_requests_at_a_time(gateway: Gateway) -> None:
    gateway.may_answer.clear()
    with run_nginx(gateway.port, MAX_IN_FLIGHT_PER_CLIENT="2") as url, ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(requests.post, f"{url}/detect", data=b"x", timeout=10) for _ in range(2)]
        while len(gateway.received) < 2:
            time.sleep(0.01)
        refused = requests.post(f"{url}/detect", data=b"x", timeout=10)
        gateway.may_answer.set()
        assert [one.result().status_code for one in under_way] == [200, 200]
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)


@pytest.mark.parametrize(
    "sent", [b"POST /detect HTTP/1.1\r\nHos", b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"]
)
def test_a_client_that_stops_in_its_headers_or_body_is_cut(gateway: Gateway, sent: bytes) -> None:
    with run_nginx(gateway.port, timeouts_s=1) as url, connection(url) as sock:
        sock.sendall(sent)
        started = time.monotonic()
        await_end(sock)
    assert 0.5 < time.monotonic() - started < 5
    assert gateway.received == []


def test_headers_that_drip_are_cut(gateway: Gateway) -> None:
    with run_nginx(gateway.port, timeouts_s=1) as url, connection(url) as sock:
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for byte in b"POST /detect HTTP/1.1\r\nX-Slow: " + b"a" * 100:
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
            pytest.fail("it took the whole header")
    assert time.monotonic() - started < 4
    assert gateway.received == []


def await_end(sock: socket.socket) -> None:
    """Reads until the other end has closed the connection, in order or not."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1000):
            pass


def test_the_gateway_learns_the_request_id_and_the_client_s_address(gateway: Gateway) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    with run_nginx(gateway.port) as url:
        requests.post(f"{url}/detect", data=b"x", headers={**forged, "X-Request-ID": "Mine_2.0-a"}, timeout=10)
        requests.post(f"{url}/detect", data=b"x", headers={"X-Request-ID": "not sane!"}, timeout=10)
    sane, other = (one.headers for one in gateway.received)
    assert sane["X-Request-ID"] == "Mine_2.0-a"
    assert other["X-Request-ID"] not in ("", "not sane!")
    assert (sane["X-Forwarded-For"], sane["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert sane["X-Forwarded-Host"] == sane["Host"] == urlsplit(url).netloc


def test_callers_use_https_where_there_is_a_certificate(gateway: Gateway, tmp_path: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    tls = dict.fromkeys(("TLS_CERT_FILE", "TLS_KEY_FILE"), str(tmp_path / "server.pem"))
    with run_nginx(gateway.port, **tls) as url:
        answer = requests.get(f"{url}/health", verify=str(tmp_path / "ca.pem"), timeout=10)
        plain = requests.get(url.replace("https:", "http:"), timeout=10)
    assert (answer.status_code, plain.status_code) == (200, 400)
    assert "max-age=" in answer.headers["Strict-Transport-Security"]
    (received,) = gateway.received
    assert received.headers["X-Forwarded-Proto"] == "https"


def test_a_gateway_that_is_away_is_503_with_retry_after() -> None:
    (nobody,) = free_ports(1)
    with run_nginx(nobody) as url:
        answer = requests.post(f"{url}/detect", data=b"x", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (503, "GATEWAY_UNAVAILABLE")
    assert "Retry-After" in answer.headers


def test_a_photo_is_scored_through_it(service: Service) -> None:
    with run_nginx(service.port) as url, photo("astronaut.png").open("rb") as stream:
        answer = requests.post(f"{url}/detect", files={"file": stream}, timeout=60)
        page = requests.get(f"{url}/", timeout=10)
    assert (answer.status_code, page.status_code) == (200, 200)
    assert answer.json()["metadata"]["faces_detected"] == 1
