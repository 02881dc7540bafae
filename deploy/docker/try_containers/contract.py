"""The requests of the HTTP contract, over a published port."""

import io
import secrets
import time
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from deploy.docker.try_containers.report import CheckError, require

_TIMEOUT_S = 60.0


def await_healthy(url: str, limit_s: float) -> float:
    """Seconds until GET /health answers 200.

    Raises:
        CheckError: It never did.
    """
    started = time.monotonic()
    last = ""
    while time.monotonic() - started < limit_s:
        try:
            answer = requests.get(f"{url}/health", timeout=10)
            last = answer.text
            if answer.status_code == 200:
                return time.monotonic() - started
        except requests.ConnectionError as error:
            last = str(error)
        time.sleep(0.5)
    require(False, f"not healthy within {limit_s:g} s: {last}")
    return limit_s


def health(url: str) -> dict[str, Any]:
    """GET /health, which must be 200."""
    answer = requests.get(f"{url}/health", timeout=_TIMEOUT_S)
    require(answer.status_code == 200, f"/health is {answer.status_code}: {answer.text}")
    body: dict[str, Any] = answer.json()
    require(body["model_status"] == "loaded", f"/health says {body}")
    return body


def detect(url: str, photo: Path, headers: dict[str, str] | None = None) -> float:
    """POST /detect with a photo of one face, a new one to every cache; returns the seconds it took."""
    upload = {"file": (photo.name, _varied(photo))}
    started = time.monotonic()
    answer = requests.post(f"{url}/detect", files=upload, headers=headers, timeout=_TIMEOUT_S)
    took_s = time.monotonic() - started
    require(answer.status_code == 200, f"/detect is {answer.status_code}: {answer.text}")
    body = answer.json()
    require(body["result"] in ("real", "fake", "uncertain"), f"/detect says {body}")
    require(0 <= body["confidence_score"] <= 1, f"/detect says {body}")
    require(body["metadata"]["faces_detected"] == 1, f"/detect found {body['metadata']['faces_detected']} faces")
    return took_s


def await_detection(url: str, photo: Path, limit_s: float) -> None:
    """Asks until a photo is scored: while Triton is away for longer than TRITON_OUTAGE_WAIT_S, the answer is 503.

    Raises:
        CheckError: It never was.
    """
    deadline = time.monotonic() + limit_s
    while True:
        try:
            detect(url, photo)
            return
        except (CheckError, requests.ConnectionError) as error:
            require(time.monotonic() < deadline, f"no detection within {limit_s:g} s: {error}")
        time.sleep(0.5)


def _varied(photo: Path) -> bytes:
    """The photo with another pixel in its corner, as PNG."""
    image = Image.open(photo).convert("RGB")
    red, green, blue = secrets.token_bytes(3)
    image.putpixel((0, 0), (red, green, blue))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def inference(url: str, frames: list[str], scored: int) -> None:
    """POST /api/v1/inference with paths below the media root."""
    body = {"mediaType": "VIDEO", "extractedFrames": frames, "include": ["frames"]}
    answer = requests.post(f"{url}/api/v1/inference", json=body, timeout=_TIMEOUT_S)
    require(answer.status_code == 200, f"/api/v1/inference is {answer.status_code}: {answer.text}")
    document = answer.json()
    require(document["frames_scored"] == scored, f"{document['frames_scored']} of {scored} frames were scored")
    require(0 <= document["risk_score"] <= 100, f"risk_score is {document['risk_score']}")


def refusals(url: str) -> None:
    """What must be refused is, in JSON with a code."""
    garbage = requests.post(f"{url}/detect", files={"file": ("x.jpg", b"no picture")}, timeout=_TIMEOUT_S)
    outside = {"mediaType": "IMAGE", "extractedFrames": ["../../etc/passwd"]}
    escape = requests.post(f"{url}/api/v1/inference", json=outside, timeout=_TIMEOUT_S)
    for answer in (garbage, escape):
        require(400 <= answer.status_code < 500, f"{answer.request.url} is {answer.status_code}: {answer.text}")
        require("code" in answer.json(), f"no code in {answer.text}")
    require(requests.get(f"{url}/metrics", timeout=_TIMEOUT_S).status_code == 404, "/metrics is published")
