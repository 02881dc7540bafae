"""The gateway's logs: JSON lines with the fields that operators search for, and nothing that must not be there."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import requests

from tests.gateway.gateway_process import run_gateway
from tests.inference_server import InferenceServer, jpeg


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "gateway.log").read_text().splitlines()]


def provoke(port: int) -> None:
    """Requests of all kinds with secrets wherever a caller can put them."""
    url = f"http://127.0.0.1:{port}"
    secret = {"Authorization": "Bearer s3cret-token", "X-API-Key": "s3cret-key", "Cookie": "session=s3cret"}
    for headers in (secret, {**secret, "X-Request-ID": "dfk_s3cret-s3cret-s3cret"}):
        file = {"file": ("s3cret-name.jpg", jpeg("p=0.9 s3cret content"))}
        requests.post(f"{url}/detect?key=s3cret", files=file, headers=headers, timeout=20)
        requests.post(f"{url}/detect", data=b"s3cret body", headers=headers, timeout=20)
        requests.get(f"http://user:s3cret@127.0.0.1:{port}/nowhere?token=s3cret", headers=headers, timeout=20)
        requests.post(f"{url}/detect", files={"file": ("s3cret-name", b"s3cret")}, headers=headers, timeout=20)


def test_secrets_and_names_stay_out_of_lines_for_people(server: InferenceServer, tmp_path: Path) -> None:
    with run_gateway(server, tmp_path, FLASK_ENV="development") as gateway:
        provoke(gateway.port)
    text = (tmp_path / "gateway.log").read_text()
    assert '"POST /detect" 200' in text
    assert "s3cret" not in text, text


def test_json_lines(server: InferenceServer, tmp_path: Path) -> None:
    with run_gateway(server, tmp_path, LOG_FORMAT="json", TRITON_OUTAGE_WAIT_S="0") as gateway:
        url = gateway.url
        provoke(gateway.port)
        requests.post(f"{url}/detect", files={"file": jpeg("p=0.9")}, headers={"X-Request-ID": "first"}, timeout=20)
        requests.get(f"{url}/nowhere%0a\x1b[31m", headers={"X-Request-ID": "second"}, timeout=20)
        server.behaviour.error = (grpc.StatusCode.INTERNAL, "Stub process is not healthy")
        requests.post(f"{url}/detect", files={"file": jpeg("p=0.8")}, headers={"X-Request-ID": "third"}, timeout=20)
    lines = lines_of(tmp_path)
    assert {line["logger"] for line in lines} == {"gateway", "gateway.access"}
    for line in lines:
        moment = datetime.fromisoformat(line["timestamp"])
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=2)
        assert line["level"] in ("INFO", "WARNING")
        assert isinstance(line["message"], str)
        assert isinstance(line["pid"], int)
    access = {line["request_id"]: line for line in lines if line["logger"] == "gateway.access"}
    first = access["first"]
    assert (first["method"], first["route"], first["status"]) == ("POST", "/detect", 200)
    assert first["client_address"] == "127.0.0.1"
    assert first["response_bytes"] > 100
    assert 0 < first["duration_ms"] < 20_000
    assert "reason" not in first
    assert (access["second"]["route"], access["second"]["reason"]) == ("unmatched", "NOT_FOUND")
    assert "\x1b" not in access["second"]["message"]
    assert (access["third"]["status"], access["third"]["reason"]) == (503, "MODEL_UNAVAILABLE")
    (warning,) = [line for line in lines if line["logger"] == "gateway" and line["level"] == "WARNING"]
    assert (warning["request_id"], warning["route"]) == ("third", "/detect")
    assert "s3cret" not in str(lines)
