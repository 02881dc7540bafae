"""The requests of the HTTP contract, over a published port."""

import io
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import requests
from PIL import Image

from tests.containers.engine import EngineError

HEALTHY_S = 240.0
_TIMEOUT_S = 60.0


def await_true(what: str, happened: Callable[[], bool], limit_s: float) -> None:
    """Asks once a second until it happened."""
    deadline = time.monotonic() + limit_s
    while True:
        last = ""
        try:
            if happened():
                return
        except (EngineError, OSError, AssertionError) as error:
            last = str(error)
        assert time.monotonic() < deadline, f"waited {limit_s:g} s for {what}. {last}"
        time.sleep(1)


def await_healthy(url: str, verify: str | bool = True) -> None:
    """Waits until GET /health answers 200 with a loaded model."""

    def healthy() -> bool:
        answer = requests.get(f"{url}/health", timeout=10, verify=verify)
        return answer.status_code == 200 and answer.json()["model_status"] == "loaded"

    await_true("GET /health", healthy, HEALTHY_S)


def detect(url: str, photo: Path, headers: dict[str, str] | None = None, verify: str | bool = True) -> bool:
    """POST /detect with a photo of one face, a new one to every cache."""
    image = Image.open(photo).convert("RGB")
    image.putpixel((0, 0), tuple(secrets.token_bytes(3)))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    upload = {"file": (photo.name, stream.getvalue())}
    answer = requests.post(f"{url}/detect", files=upload, headers=headers, timeout=_TIMEOUT_S, verify=verify)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["result"] in ("real", "fake", "uncertain")
    assert 0 <= body["confidence_score"] <= 1
    assert body["metadata"]["faces_detected"] == 1
    return True


def await_detection(url: str, photo: Path) -> None:
    """Asks until a photo is scored: while Triton is away for longer than requests wait, the answer is 503."""
    await_true("a detection", lambda: detect(url, photo), HEALTHY_S)


def refuses_what_it_must(url: str) -> None:
    """What must be refused is, in JSON with a code."""
    garbage = requests.post(f"{url}/detect", files={"file": ("x.jpg", b"no picture")}, timeout=_TIMEOUT_S)
    outside = {"mediaType": "IMAGE", "extractedFrames": ["../../etc/passwd"]}
    escape = requests.post(f"{url}/api/v1/inference", json=outside, timeout=_TIMEOUT_S)
    for answer in (garbage, escape):
        assert 400 <= answer.status_code < 500, answer.text
        assert "code" in answer.json()
    assert requests.get(f"{url}/metrics", timeout=_TIMEOUT_S).status_code == 404
