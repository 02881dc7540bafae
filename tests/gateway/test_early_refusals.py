"""The refusal that is made without Flask is the one that Flask would have made."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from gateway.access.api_keys import key_line, new_key
from gateway.observe.metrics import PREFIX
from gateway.request_context import Services
from tests.gateway.conftest import Gateway
from tests.gateway.observe.test_metrics import metrics_of
from tests.gateway.routes.test_bad_requests import error_of
from tests.inference_server import jpeg

LONG_WAY = {"Origin": "https://elsewhere.example"}  # more to look at than the route and the key


def services(gateway: Gateway) -> Services:
    shared: Services = gateway.app.extensions["deepfake_gateway"]
    return shared


def fill(gateway: Gateway, **settings: Any) -> Gateway:
    gateway.configure(max_in_flight=1, retry_after_s=7, **settings)
    services(gateway).admission.enter()
    return gateway


def ask(gateway: Gateway, route: str = "/detect", headers: dict[str, str] | None = None, **options: Any) -> Any:
    files = {"file": (BytesIO(jpeg("p=0.9")), "a.jpg")}
    return gateway.http.post(route, data=files, headers=headers or {}, **options)


@pytest.fixture
def no_flask(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gateway], None]:
    """Takes the long way away."""

    def take_away(gateway: Gateway) -> None:
        def fail(*_: Any) -> None:
            raise AssertionError("Flask was asked")

        monkeypatch.setattr(gateway.app, "full_dispatch_request", fail)

    return take_away


@pytest.mark.parametrize("route", ["/detect", "/api/v1/inference"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("development", [False, True])
def test_it_is_the_answer_of_the_long_way(
    gateway: Gateway, no_flask: Callable[[Gateway], None], route: str, scheme: str, development: bool
) -> None:
    fill(gateway, flask_env="development" if development else "production")
    named = {"X-Request-ID": "mine-1"}
    long = ask(gateway, route, {**named, **LONG_WAY}, base_url=f"{scheme}://localhost")
    no_flask(gateway)
    early = ask(gateway, route, named, base_url=f"{scheme}://localhost")
    error_of(early, 503, "OVERLOADED")
    assert early.headers["Retry-After"] == "7"
    assert early.status == long.status
    assert dict(early.headers) == dict(long.headers)
    assert early.data == long.data


def test_each_has_an_id_of_its_own(gateway: Gateway, no_flask: Callable[[Gateway], None]) -> None:
    fill(gateway)
    no_flask(gateway)
    answers = [ask(gateway, headers={"X-Request-ID": sent}) for sent in ("a", "b", '"} not sane', "")]
    ids = [answer.json["request_id"] for answer in answers]
    assert ids[:2] == ["a", "b"]
    assert len(set(ids)) == 4
    assert [answer.headers["X-Request-ID"] for answer in answers] == ids
    assert all(len(made) == 32 for made in ids[2:])


def test_both_are_counted_alike(gateway: Gateway) -> None:
    fill(gateway)
    for headers in ({}, LONG_WAY):
        before = counted(gateway)
        ask(gateway, headers=headers)
        assert [now - then for now, then in zip(counted(gateway), before, strict=True)] == [1, 1, 1]


def counted(gateway: Gateway) -> list[float]:
    page, route = metrics_of(gateway), "/detect"
    return [
        page.value(f"{PREFIX}requests_total", route=route, method="POST", status="503"),
        page.value(f"{PREFIX}refusals_total", route=route, reason="OVERLOADED"),
        page.value(f"{PREFIX}request_duration_seconds_count", route=route),
    ]


def test_nobody_is_told_without_a_key(gateway: Gateway, tmp_path: Path) -> None:
    key, keys = new_key(), tmp_path / "keys"
    keys.write_text(key_line("alice", key) + "\n")
    fill(gateway, api_keys_file=keys)
    error_of(ask(gateway), 401, "API_KEY_REQUIRED")
    error_of(ask(gateway, headers={"X-API-Key": new_key()}), 401, "API_KEY_INVALID")
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        error_of(ask(gateway, headers=headers), 503, "OVERLOADED")
    keys.unlink()
    error_of(ask(gateway, headers={"X-API-Key": key}), 503, "KEYS_UNAVAILABLE")


def test_a_limit_on_clients_comes_first(gateway: Gateway) -> None:
    fill(gateway, rate_limit_per_minute=1)
    error_of(ask(gateway), 503, "OVERLOADED")
    error_of(ask(gateway), 429, "RATE_LIMITED")


def test_only_detections_of_a_full_worker_are_refused(gateway: Gateway) -> None:
    fill(gateway)
    assert gateway.http.get("/health").status_code == 200
    error_of(gateway.http.get("/detect"), 405, "METHOD_NOT_ALLOWED")
    error_of(gateway.http.post("/nothing"), 404, "NOT_FOUND")
    services(gateway).admission.leave()
    assert ask(gateway).status_code == 200
    assert ask(gateway).status_code == 200, "looking took no place"
