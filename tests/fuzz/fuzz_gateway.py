"""Hostile requests at the running service.

Odd JSON, damaged forms and HTTP, hostile and damaged images and videos. What must hold: every request is answered
within the deadline, none with a 5xx but an honest 501, 503 or 504, /health stays 200, and the intact image sent in
between always gets exactly the score that it got at first.
"""

import itertools
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from PIL import Image

from assets import SAMPLE_PHOTOS, fetch_assets
from benchmark.frames import with_comment
from tests.fuzz.http_mutation import BOUNDARY, content_type, damaged_http, form, json_bodies, odd_headers
from tests.fuzz.mutation import Mutator
from tests.hostile import images as hostile_images
from tests.hostile import videos as hostile_videos
from tests.hostile.image import saved

DEADLINE_S = 30.0
"""Callers give up then."""

_HONEST = frozenset({501, 503, 504})  # 501: a transfer coding that nobody knows (RFC 9112, section 6.1)
_NO_ANSWER = 0
_INTACT = "intact.jpg"
_CHECK_EVERY = 20
_HIGHEST_BYTES = 60_000  # of one answer's head and body that is read over a raw socket


@dataclass
class GatewayReport:
    """What came of the requests.

    Attributes:
        requests: How many.
        answers: How many of each kind of request got each status; 0: the connection was closed without an answer.
        findings: What should not have happened.
        slowest_s: Longest time of one.
        checks: How often the intact image was sent in between.
    """

    requests: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    checks: int = 0


class GatewayFuzzer:
    """Sends requests one after the other and looks at the answers."""

    def __init__(self, url: str, media_root: Path, seed: int) -> None:
        """Asks for the scores that must not change.

        Args:
            url: The gateway.
            media_root: Its media root, in which files are written.
            seed: The same seed sends the same requests.
        """
        self.report = GatewayReport()
        self._url, self._media_root, self._seed = url, media_root, seed
        self._http = requests.Session()
        self._http.trust_env = False
        # A connection each: the server may close an idle one at the moment at which it is used again.
        self._http.headers["Connection"] = "close"
        self._images = Mutator.of_media(hostile_images.seeds())
        self._videos = Mutator.of_media(hostile_videos.seeds())
        with Image.open(fetch_assets(SAMPLE_PHOTOS)["astronaut.png"]) as photo:
            self._intact = saved("JPEG", photo.convert("RGB"))
        (media_root / "good.jpg").write_bytes(hostile_images.seeds()[0])
        small = hostile_images.seeds()[0]
        self._forms = Mutator([form(small, type="image"), form(small, include="thumbnails"), form(small)])
        self._raw = damaged_http(small)
        self._numbers = itertools.count(time.time_ns())
        self._scores = self._intact_scores()

    def run(self, count: int, catalogues: slice = slice(None)) -> GatewayReport:
        """This part of the catalogues once, and so many requests besides."""
        self._send_catalogues(catalogues)
        self._send_json(count // 4)
        kinds: list[Callable[[random.Random], None]] = [
            self._send_form, self._send_raw, self._send_image, self._send_frames, self._send_video,
        ]  # fmt: skip
        for number in range(count - count // 4):
            rng = random.Random(f"{self._seed}/{number}")
            rng.choice(kinds)(rng)
        self._check()
        return self.report

    def _send_catalogues(self, part: slice) -> None:
        for image in hostile_images.hostile_images()[part]:
            self._upload("hostile image", image.make(), image.name)
        for video in hostile_videos.hostile_videos()[part]:
            self._upload("hostile video", video.make(), video.name)

    def _send_json(self, count: int) -> None:
        @hypothesis_seed(self._seed)
        @settings(
            max_examples=max(count, 1),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(body=json_bodies)
        def send(body: bytes) -> None:
            self._post("JSON", "/api/v1/inference", body, {"Content-Type": "application/json"}, repr(body[:200]))

        if count:
            send()

    def _send_form(self, rng: random.Random) -> None:
        body = self._forms.mutated(rng)
        headers = {**odd_headers(rng), "Content-Type": content_type(rng)}
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        self._post("form", "/detect", body, encoded, f"{headers} {body[:200]!r}")

    def _send_image(self, rng: random.Random) -> None:
        self._upload("damaged image", self._images.mutated(rng), "")

    def _send_video(self, rng: random.Random) -> None:
        self._upload("damaged video", self._videos.mutated(rng), "")

    def _send_frames(self, rng: random.Random) -> None:
        """Damaged files below the media root beside an intact one."""
        paths = []
        for number in range(3):
            (self._media_root / f"{number}.jpg").write_bytes(self._images.mutated(rng))
            paths.append(f"{number}.jpg")
        paths.insert(rng.randrange(4), self._write_intact())
        body = {"mediaType": "VIDEO", "extractedFrames": paths, "include": ["frames"]}
        answer = self._post(
            "listed frames", "/api/v1/inference", json.dumps(body).encode(), {"Content-Type": "application/json"}, ""
        )
        frames = {frame["path"]: frame for frame in (answer or {}).get("frames", [])}
        if frames.get(_INTACT, {}).get("fake_probability") != self._scores["frame"]:
            self._find(f"listed frames: the intact one beside damaged ones got {frames.get(_INTACT)}")

    def _send_raw(self, rng: random.Random) -> None:
        content = self._raw.mutated(rng)
        started = time.monotonic()
        try:
            head = self._exchange(content)
        except TimeoutError:
            self._find(f"raw: no end after {DEADLINE_S:g} s: {content[:300]!r}")
            return
        except OSError:
            head = b""  # reset: it closed before it had read all
        words = head.split(b" ", 2)
        status = int(words[1]) if head.startswith(b"HTTP/1.") and words[1].isdigit() else _NO_ANSWER
        self._note("raw", status, time.monotonic() - started, repr(content[:300]))

    def _exchange(self, content: bytes) -> bytes:
        address = urlsplit(self._url)
        with socket.create_connection((address.hostname or "", address.port or 80), DEADLINE_S) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            head = b""
            while block := connection.recv(2**16):
                head = (head + block)[:_HIGHEST_BYTES]
            return head

    def _upload(self, kind: str, content: bytes, name: str) -> None:
        body = b"".join(form(content))
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        self._post(kind, "/detect", body, headers, name or f"{len(content)} bytes {content[:40].hex()}")

    def _post(self, kind: str, path: str, body: bytes, headers: Any, what: str) -> dict[str, Any] | None:
        """Sends it and looks at the answer; its JSON where that is an object."""
        started = time.monotonic()
        try:
            answer = self._http.post(self._url + path, data=body, headers=headers, timeout=DEADLINE_S)
        except requests.Timeout:
            self._find(f"{kind}: no answer after {DEADLINE_S:g} s: {what}")
            return None
        except requests.ConnectionError:
            # It answered and closed before it had read everything, or there is nobody: the next check tells.
            self._note(kind, _NO_ANSWER, time.monotonic() - started, what)
            return None
        self._note(kind, answer.status_code, time.monotonic() - started, what)
        try:
            decoded = answer.json()
        except ValueError:
            return None
        return decoded if isinstance(decoded, dict) else None

    def _note(self, kind: str, status: int, elapsed_s: float, what: str) -> None:
        report = self.report
        report.requests += 1
        report.answers[f"{kind}: {status}"] += 1
        report.slowest_s = max(report.slowest_s, elapsed_s)
        if status >= 500 and status not in _HONEST:
            self._find(f"{kind}: {status}: {what}")
        if report.requests % _CHECK_EVERY == 0:
            self._check()

    def _check(self) -> None:
        """The service is healthy and scores an intact image as ever."""
        self.report.checks += 1
        try:
            self._look()
        except (requests.RequestException, ValueError) as error:
            self._find(f"no check after {self.report.requests} requests: {type(error).__name__}: {error}")

    def _look(self) -> None:
        health = self._http.get(f"{self._url}/health", timeout=DEADLINE_S)
        if health.status_code != 200:
            self._find(f"/health answered {health.status_code} after {self.report.requests} requests")
        scores = self._intact_scores()
        if scores != self._scores:
            self._find(f"the intact image got {scores} after {self.report.requests} requests, not {self._scores}")

    def _intact_scores(self) -> dict[str, Any]:
        upload = self._http.post(f"{self._url}/detect", files={"file": self._new_intact()}, timeout=DEADLINE_S)
        body = {"mediaType": "IMAGE", "extractedFrames": self._write_intact(), "include": ["frames"]}
        listed = self._http.post(f"{self._url}/api/v1/inference", json=body, timeout=DEADLINE_S)
        frames = listed.json().get("frames") or [{}]
        return {
            "statuses": (upload.status_code, listed.status_code),
            "upload": upload.json().get("confidence_score"),
            "frame": frames[0].get("fake_probability"),
        }

    def _new_intact(self) -> bytes:
        """The same pixels in bytes that no cache of scores has seen."""
        return with_comment(self._intact, str(next(self._numbers)))

    def _write_intact(self) -> str:
        (self._media_root / _INTACT).write_bytes(self._new_intact())
        return _INTACT

    def _find(self, finding: str) -> None:
        self.report.findings.append(finding)
