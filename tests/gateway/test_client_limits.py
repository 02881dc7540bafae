"""What one client may ask for: rate, requests in flight, who counts as one client, and that others do not suffer."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.access.api_keys import key_line, new_key
from gateway.client_limits import ClientLimits, client_of_address
from gateway.errors import RateLimitedError
from tests.gateway.access.test_api_keys import write_keys
from tests.gateway.conftest import Gateway
from tests.gateway.gateway_process import run_gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_service_errors import wait_until
from tests.inference_server import InferenceServer, jpeg


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("gateway.client_limits.time.monotonic", lambda: now[0])
    return now


def test_in_any_minute_a_client_has_its_number_and_not_one_more(clock: list[float]) -> None:
    limits = ClientLimits(3, 0, retry_after_s=1)
    for at in (1000.0, 1020.0, 1040.0):
        clock[0] = at
        limits.enter("a")
        limits.leave("a")
    clock[0] = 1041.5
    with pytest.raises(RateLimitedError) as caught:
        limits.enter("a")
    assert caught.value.retry_after_s == 19, "the first one leaves the window at 1060"
    limits.enter("b")
    for at, allowed in ((1059.9, False), (1060.0, True), (1060.1, False), (1080.0, True)):
        clock[0] = at
        if allowed:
            limits.enter("a")
        else:
            with pytest.raises(RateLimitedError):
                limits.enter("a")


def test_refused_requests_do_not_count(clock: list[float]) -> None:
    limits = ClientLimits(1, 0, retry_after_s=1)
    limits.enter("a")
    for _ in range(100):
        with pytest.raises(RateLimitedError):
            limits.enter("a")
    clock[0] += 60
    limits.enter("a")


def test_idle_clients_are_forgotten(clock: list[float]) -> None:
    limits = ClientLimits(5, 0, retry_after_s=1)
    for number in range(1000):
        limits.enter(f"client {number}")
        limits.leave(f"client {number}")
    clock[0] += 61
    limits.enter("last")
    assert list(limits._began) == ["last"]
    assert list(limits._in_flight) == ["last"]


def test_the_wall_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    limits = ClientLimits(1, 0, retry_after_s=1)
    limits.enter("a")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    clock[0] += 60
    limits.enter("a")


def test_in_flight(clock: list[float]) -> None:
    limits = ClientLimits(0, 2, retry_after_s=7)
    limits.enter("a")
    limits.enter("a")
    with pytest.raises(RateLimitedError, match="in flight") as caught:
        limits.enter("a")
    assert caught.value.retry_after_s == 7
    limits.enter("b")
    limits.leave("a")
    limits.enter("a")


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("", "address:unknown"),
        (None, "address:unknown"),
        ("evil\n", "address:unknown"),
    ],
)
def test_clients_of_addresses(address: str | None, client: str) -> None:
    assert client_of_address(address) == client


def ask(gateway: Gateway, address: str = "192.0.2.1", **headers: str) -> Any:
    body = {"mediaType": "IMAGE", "extractedFrames": gateway.frames([0.5])}
    return gateway.http.post("/api/v1/inference", json=body, headers=headers, environ_base={"REMOTE_ADDR": address})


def test_over_the_rate_is_429_for_that_client_only(gateway: Gateway) -> None:
    gateway.configure(rate_limit_per_minute=3)
    assert [ask(gateway).status_code for _ in range(3)] == [200] * 3
    refused = ask(gateway)
    error_of(refused, 429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert ask(gateway, "192.0.2.2").status_code == 200
    assert gateway.http.get("/health", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 200


def test_forwarded_addresses_are_believed_of_trusted_proxies_only(gateway: Gateway) -> None:
    gateway.configure(rate_limit_per_minute=1)
    said = [ask(gateway, **{"X-Forwarded-For": f"198.51.100.{n}"}).status_code for n in range(3)]
    assert said == [200, 429, 429]
    gateway.configure(rate_limit_per_minute=1, trusted_proxies=1)
    said = [ask(gateway, **{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.1"}).status_code for n in range(3)]
    assert said == [200, 429, 429], "the proxy wrote the last one, the caller those before it"
    assert ask(gateway, **{"X-Forwarded-For": "198.51.100.2"}).status_code == 200


def test_a_key_is_a_client_wherever_it_calls_from(gateway: Gateway, tmp_path: Path) -> None:
    alice, bob = new_key(), new_key()
    keys = write_keys(tmp_path / "keys", key_line("alice", alice), key_line("bob", bob))
    gateway.configure(rate_limit_per_minute=1, api_keys_file=keys)
    assert ask(gateway, "192.0.2.1", **{"X-API-Key": alice}).status_code == 200
    assert ask(gateway, "192.0.2.2", **{"X-API-Key": alice}).status_code == 429
    assert ask(gateway, "192.0.2.1", **{"X-API-Key": bob}).status_code == 200


def test_requests_in_flight_of_one_client(gateway: Gateway) -> None:
    gateway.configure(max_in_flight_per_client=1, retry_after_s=4, score_cache_frames=0)
    assert ask(gateway).status_code == 200
    gate = gateway.server.behaviour.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, gateway)
        wait_until(lambda: len(gateway.server.received) == 2)
        refused = ask(gateway)
        error_of(refused, 429, "RATE_LIMITED")
        assert refused.headers["Retry-After"] == "4"
        other = pool.submit(ask, gateway, "192.0.2.2")
        wait_until(lambda: len(gateway.server.received) == 3)
        gate.set()
        assert [first.result().status_code, other.result().status_code] == [200, 200]
    assert ask(gateway).status_code == 200


def test_every_outcome_gives_the_place_back(gateway: Gateway) -> None:
    gateway.configure(max_in_flight_per_client=1)
    for _ in range(3):
        assert gateway.http.post("/detect", json={}).status_code == 415
        assert (
            gateway.http.post("/detect", data={"type": "image"}, content_type="multipart/form-data").status_code == 400
        )
        assert gateway.http.post("/api/v1/inference", json={"mediaType": "AUDIO"}).status_code == 415
    assert ask(gateway).status_code == 200


def test_a_client_with_fifty_connections_stops_no_other_one(server: InferenceServer, tmp_path: Path) -> None:
    greedy, modest = new_key(), new_key()
    keys = write_keys(tmp_path / "keys", key_line("greedy", greedy), key_line("modest", modest))
    server.behaviour.delay_s = 0.05
    settings = {"API_KEYS_FILE": str(keys), "MAX_IN_FLIGHT": "4", "MAX_IN_FLIGHT_PER_CLIENT": "2"}
    with run_gateway(server, tmp_path, SCORE_CACHE_FRAMES="0", **settings) as gateway:

        def post(session: requests.Session, key: str) -> requests.Response:
            files = {"file": jpeg("p=0.9")}
            return session.post(f"{gateway.url}/detect", files=files, headers={"X-API-Key": key}, timeout=20)

        over = threading.Event()
        outcomes: Counter[int] = Counter()
        without_retry_after: list[int] = []

        def flood() -> None:
            with requests.Session() as session:
                while not over.is_set():
                    answer = post(session, greedy)
                    outcomes[answer.status_code] += 1
                    if answer.status_code != 200 and "Retry-After" not in answer.headers:
                        without_retry_after.append(answer.status_code)

        threads = [threading.Thread(target=flood) for _ in range(50)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.5)
            with requests.Session() as session:
                answers = [post(session, modest) for _ in range(15)]
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert [answer.status_code for answer in answers] == [200] * 15
    assert max(answer.elapsed.total_seconds() for answer in answers) < 3
    assert outcomes[429] > outcomes[200] > 0
    assert without_retry_after == []
