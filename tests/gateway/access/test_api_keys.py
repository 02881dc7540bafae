"""API keys: who is let in, what stays open, rotation without a restart, and no key in any log."""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.access import api_keys
from gateway.access.api_keys import ApiKeys, KeyFileError, key_line, new_key
from tests.gateway.conftest import Gateway
from tests.gateway.gateway_process import run_gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import upload
from tests.inference_server import InferenceServer, jpeg

KEY = new_key()
OTHER = new_key()


def write_keys(path: Path, *lines: str, mode: int = 0o600) -> Path:
    """Replaces the file as editors do, by a rename."""
    new = path.with_suffix(".new")
    new.write_text("".join(f"{line}\n" for line in lines))
    new.chmod(mode)
    new.rename(path)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys", "# who may", "", key_line("alice", KEY))


@pytest.fixture
def locked(gateway: Gateway, key_file: Path) -> Gateway:
    return gateway.configure(api_keys_file=key_file)


def ask(gateway: Gateway, headers: Any = None) -> Any:
    body = {"mediaType": "IMAGE", "extractedFrames": gateway.frames([0.5])}
    return gateway.http.post("/api/v1/inference", json=body, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"X-API-Key": KEY},
        {"X-API-Key": KEY, "Authorization": "Basic dTpw"},  # a proxy's own
    ],
)
def test_a_valid_key_is_let_in(locked: Gateway, headers: dict[str, str]) -> None:
    assert ask(locked, headers).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/inference", "/detect"])
def test_without_a_key_nothing_is_computed(locked: Gateway, path: str) -> None:
    response = locked.http.post(path, data=b"")
    error_of(response, 401, "API_KEY_REQUIRED")
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert locked.server.received == []


@pytest.mark.parametrize(
    "sent",
    [
        OTHER,
        KEY[:-1],
        KEY + "A",
        KEY.swapcase(),
        KEY.removeprefix("dfk_"),
        "dfk_",
        key_line("alice", KEY),
        key_line("alice", KEY).partition(":")[2],
        f"{OTHER},{KEY}",
        "sch\u00fcssel",
        "x" * 5000,
        "alice",
    ],
    ids=[
        "another",
        "cut",
        "longer",
        "swapped case",
        "no prefix",
        "prefix",
        "line",
        "hash",
        "two",
        "no ASCII",
        "long",
        "name",
    ],
)
def test_what_is_no_valid_key_is_refused(locked: Gateway, sent: str) -> None:
    for headers in ({"Authorization": f"Bearer {sent}"}, {"X-API-Key": sent}):
        response = ask(locked, headers)
        error_of(response, 401, "API_KEY_INVALID")
        assert sent not in response.text
    assert locked.server.received == []


def test_bearer_wins_over_the_other_header(locked: Gateway) -> None:
    assert ask(locked, {"Authorization": f"Bearer {OTHER}", "X-API-Key": KEY}).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/", "/docs", "/openapi.json", "/static/page.js"])
def test_health_and_pages_stay_open(locked: Gateway, path: str) -> None:
    assert locked.http.get(path, buffered=True).status_code == 200


def test_everything_else_is_closed_also_what_is_added_later(locked: Gateway) -> None:
    locked.app.add_url_rule("/later", view_func=lambda: "secret", endpoint="later")
    closed = {
        rule.rule
        for rule in locked.app.url_map.iter_rules()
        if "<" not in rule.rule
        for method in sorted((rule.methods or set()) & {"GET", "POST"})
        if locked.http.open(rule.rule, method=method, buffered=True).status_code == 401
    }
    assert closed >= {"/later", "/detect", "/api/v1/inference"}
    assert closed & {"/", "/health", "/model-card", "/docs", "/openapi.json"} == set()


def test_errors_of_the_route_need_no_key(locked: Gateway) -> None:
    assert locked.http.get("/no-such-route").status_code == 404
    assert locked.http.get("/detect").status_code == 405
    assert locked.http.options("/detect").status_code == 200


def test_keys_change_without_a_restart(locked: Gateway, key_file: Path) -> None:
    both = [key_line("alice", KEY), key_line("alice", OTHER)]
    assert ask(locked, {"X-API-Key": OTHER}).status_code == 401
    write_keys(key_file, *both)
    assert [ask(locked, {"X-API-Key": key}).status_code for key in (KEY, OTHER)] == [200, 200]
    write_keys(key_file, both[1])
    assert [ask(locked, {"X-API-Key": key}).status_code for key in (KEY, OTHER)] == [401, 200]


def test_a_line_added_in_place_counts_at_once(locked: Gateway, key_file: Path) -> None:
    with key_file.open("a") as file:
        file.write(key_line("bob", OTHER) + "\n")
    assert ask(locked, {"X-API-Key": OTHER}).status_code == 200


def test_while_the_file_is_away_nobody_is_let_in(locked: Gateway, key_file: Path) -> None:
    hidden = key_file.rename(key_file.with_name("away"))
    response = ask(locked, {"X-API-Key": KEY})
    error_of(response, 503, "KEYS_UNAVAILABLE")
    assert str(key_file) not in response.text
    hidden.rename(key_file)
    assert ask(locked, {"X-API-Key": KEY}).status_code == 200


def test_keys_that_others_may_write_go_out_of_force(locked: Gateway, key_file: Path) -> None:
    key_file.chmod(0o602)
    error_of(ask(locked, {"X-API-Key": KEY}), 503, "KEYS_UNAVAILABLE")
    key_file.chmod(0o600)
    assert ask(locked, {"X-API-Key": KEY}).status_code == 200


def test_a_damaged_line_takes_no_other_key_out_of_force(
    locked: Gateway, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("gateway").addHandler(caplog.handler)
    write_keys(key_file, key_line("alice", KEY), f"bob:{OTHER}", "carol:" + "g" * 64)
    try:
        assert ask(locked, {"X-API-Key": KEY}).status_code == 200
        assert ask(locked, {"X-API-Key": OTHER}).status_code == 401
    finally:
        logging.getLogger("gateway").removeHandler(caplog.handler)
    assert "line 2" in caplog.text
    assert "line 3" in caplog.text
    assert OTHER not in caplog.text


@pytest.mark.parametrize(
    ("lines", "mode", "says"),
    [
        (["alice:tooshort"], 0o600, "line 1"),
        (["# fine", f"two words:{'0' * 64}"], 0o600, "line 2"),
        ([], 0o620, "others may write"),
        ([], 0o606, "others may write"),
    ],
)
def test_a_file_that_cannot_be_right_stops_the_start(tmp_path: Path, lines: list[str], mode: int, says: str) -> None:
    with pytest.raises(KeyFileError, match=says):
        ApiKeys(write_keys(tmp_path / "keys", *lines, mode=mode))


def test_a_file_of_another_user_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_keys(tmp_path / "keys", key_line("alice", KEY))
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
    else:
        monkeypatch.setattr(api_keys.os, "geteuid", lambda: 65534)
    with pytest.raises(KeyFileError, match="owns it and may let anyone in; chown it to root"):
        ApiKeys(path)


def test_no_file_and_no_regular_file_stop_the_start(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(KeyFileError, match="API_KEYS_FILE"):
            ApiKeys(path)


def test_a_file_that_everyone_may_read_is_used_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(api_keys._LOG, "warning", said.append)
    keys = ApiKeys(write_keys(tmp_path / "keys", key_line("alice", KEY), mode=0o644))
    assert keys.owner(KEY) == "alice"
    assert len(said) == 1


def test_every_entry_is_compared_whatever_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [key_line("alice", KEY), *(key_line(f"c{n}", new_key()) for n in range(9)), key_line("bob", OTHER)]
    keys = ApiKeys(write_keys(tmp_path / "keys", *lines))
    compared: list[bytes] = []
    real = api_keys.hmac.compare_digest
    monkeypatch.setattr(api_keys.hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
    for key, owner in ((KEY, "alice"), (OTHER, "bob"), (new_key(), None)):
        compared.clear()
        assert keys.owner(key) == owner
        assert len(compared) == len(lines)


def test_the_command_makes_a_key_that_its_line_lets_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.new_key"]
    done = subprocess.run([*command, "alice"], capture_output=True, text=True, check=True)
    key, line = (text.strip() for text in done.stdout.splitlines() if text.startswith("  "))
    assert ApiKeys(write_keys(tmp_path / "keys", line)).owner(key) == "alice"
    assert key not in line
    bad = subprocess.run([*command, "a:b"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (2, "")


def test_keys_are_random_and_long() -> None:
    made = {new_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(api_keys.KEY.fullmatch(key) for key in made)


def test_a_wrong_file_is_one_line_at_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "--api-keys-file", str(tmp_path / "missing")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "API_KEYS_FILE" in done.stderr


def test_the_page_asks_for_a_key_only_where_one_is_needed(gateway: Gateway, key_file: Path) -> None:
    assert "api-key" not in gateway.http.get("/").text
    assert 'id="api-key"' in gateway.configure(api_keys_file=key_file).http.get("/").text


def test_the_document_tells_of_keys_only_where_there_are_any(gateway: Gateway, key_file: Path) -> None:
    plain = gateway.http.get("/openapi.json").json
    assert "securitySchemes" not in plain["components"]
    full = gateway.configure(api_keys_file=key_file).http.get("/openapi.json").json
    assert set(full["components"]["securitySchemes"]) == {"bearer", "header"}
    assert "security" not in full["paths"]["/health"]["get"]
    for path in ("/detect", "/api/v1/inference"):
        operation = full["paths"][path]["post"]
        assert operation["security"] == [{"bearer": []}, {"header": []}]
        assert set(operation["responses"]) - set(plain["paths"][path]["post"]["responses"]) == {"401"}
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
        example = operation["responses"]["401"]["content"]["application/json"]["example"]
        assert example["code"] in operation["responses"]["401"]["description"]
        assert "KEYS_UNAVAILABLE" in operation["responses"]["503"]["description"]


def test_no_log_holds_a_key(server: InferenceServer, tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys", key_line("alice", KEY))
    settings = {"API_KEYS_FILE": str(keys), "FLASK_ENV": "development"}
    with run_gateway(server, tmp_path, **settings) as gateway:
        for key in (KEY, OTHER):
            files = {"file": jpeg("p=0.9")}
            headers = {"X-API-Key": key, "Authorization": f"Bearer {key}"}
            requests.post(f"{gateway.url}/detect?api_key={key}", files=files, headers=headers, timeout=10)
        requests.get(f"{gateway.url}/{KEY}", timeout=10)
        for line in (f"Authorization Bearer {KEY}", f"{KEY} : x", f"X-API-Key: {KEY}\x01", f"X-API-Key: {KEY}\0"):
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
                raw.sendall(f"GET /{KEY} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n".encode())
                raw.recv(1000)
        keys.rename(tmp_path / "away")
        assert requests.post(f"{gateway.url}/detect", headers={"X-API-Key": KEY}, timeout=10).status_code == 503
    logged = gateway.logged()
    assert '/dfk_..." 404' in logged
    assert "nobody can be let in" in logged
    for key in (KEY, OTHER):
        assert key[4:] not in logged


def test_uploads_of_strangers_are_not_read(locked: Gateway) -> None:
    error_of(upload(locked, jpeg("p=0.9")), 401, "API_KEY_REQUIRED")
