"""Good and bad requests for a while: no bad one harms a good one, and nothing grows for ever.

Some seconds in the suite, SOAK_MINUTES (60 by default) in the long form. There the memory of every process, the open
files and the shared memory are read every five seconds, and a straight line is fitted to each after a warm-up of a
quarter of the time.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from deploy.process import children_of
from export.release import Release
from tests.media import photo
from tests.service import Service, run_service
from tests.steady_load import SteadyLoad

_SAMPLE_S = 5.0
_WARM_UP_SHARE = 0.25
_MIB = 2**20
_MOST_GROWTH_PER_HOUR = 0.1
"""Of a figure's size at the end of the warm-up, by the lower end of the slope's 95% interval."""


class BadLoad:
    """Requests that must be refused, of many kinds, one after the other in one thread; `answers` counts them."""

    def __init__(self, url: str, image: bytes, pause_s: float) -> None:
        self.answers: Counter[str] = Counter()
        self._pause_s = pause_s
        self._kinds = bad_requests(url, image)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "BadLoad":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        draw = random.Random(0)
        names: list[str] = []
        while not self._stop.wait(self._pause_s):
            names = names or draw.sample(sorted(self._kinds), len(self._kinds))
            name = names.pop()
            try:
                self.answers[f"{name}: {self._kinds[name](draw)}"] += 1
            except requests.RequestException as error:
                self.answers[f"{name}: {type(error).__name__}"] += 1


def bad_requests(url: str, image: bytes) -> dict[str, Callable[[random.Random], int]]:
    """Kinds of bad requests: each sends one and returns the status."""

    def upload(content: bytes) -> int:
        return requests.post(f"{url}/detect", files={"file": content}, timeout=40).status_code

    def infer(body: object) -> int:
        return requests.post(f"{url}/api/v1/inference", json=body, timeout=40).status_code

    def gives_up(_draw: random.Random) -> int:
        try:
            requests.post(f"{url}/detect", files={"file": image + b"\0"}, timeout=(5, 0.001))
        except requests.Timeout:
            return 0
        return 200

    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (250_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(16)
    return {
        "noise": lambda draw: upload(draw.randbytes(2000)),
        "cut image": lambda draw: upload(image[: draw.randrange(1, len(image) // 2)]),
        "pixel bomb": lambda _draw: upload(bomb),
        "empty file": lambda _draw: upload(b""),
        "large body": lambda _draw: upload(image + bytes(3 * _MIB)),
        "cut video": lambda draw: upload(b"\0\0\0\x18ftypisom\0\0\0\0" + draw.randbytes(5000)),
        "path outside": lambda _draw: infer({"mediaType": "IMAGE", "extractedFrames": ["../../etc/passwd"]}),
        "path to nothing": lambda _draw: infer({"mediaType": "IMAGE", "extractedFrames": ["nothing.png"]}),
        "wrong JSON": lambda _draw: infer({"mediaType": 7}),
        "good video": lambda _draw: infer({"mediaType": "VIDEO", "extractedFrames": ["frame.png"] * 30}),
        "unknown route": lambda _draw: requests.get(f"{url}/nothing", timeout=40).status_code,
        "client that goes": gives_up,
    }


@dataclass(frozen=True)
class Trend:
    """A straight line through a figure.

    Attributes:
        start: Its value where the warm-up ends.
        per_hour: Its slope.
        low: Lower end of the slope's 95% interval.
        high: Upper end.
    """

    start: float
    per_hour: float
    low: float
    high: float


def trend(hours: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> Trend:
    """Fitted by least squares; for the interval whole blocks are drawn again and again, since neighbours are alike."""
    slope, offset = np.polyfit(hours, values, 1)
    rng = np.random.default_rng(0)
    blocks = np.array_split(np.arange(len(values)), max(min(20, len(values) // 3), 2))
    slopes = []
    for _ in range(400):
        drawn = np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))])
        if np.ptp(hours[drawn]) > 0:
            slopes.append(np.polyfit(hours[drawn], values[drawn], 1)[0])
    low, high = np.percentile(slopes, [2.5, 97.5])
    return Trend(float(slope * hours[0] + offset), float(slope), float(low), float(high))


@pytest.mark.parametrize(("leak", "seen"), [(0.0, False), (12.0, True)])
def test_a_leak_shows_and_noise_does_not(leak: float, seen: bool) -> None:
    """An hour of 100 MiB that go up and down by some MiB."""
    hours = np.arange(0, 1, 5 / 3600)
    found = trend(hours, 100 + leak * hours + np.random.default_rng(0).normal(0, 3, len(hours)))
    assert found.low <= leak <= found.high
    assert (found.low > 1) is seen


def soak(service: Service, seconds: float, pause_s: float) -> list[dict[str, float]]:
    """Loads the service and checks the answers; returns what its processes held, every five seconds."""
    image = photo("astronaut.png").read_bytes()
    (service.media_root / "frame.png").write_bytes(image)
    samples = []
    with SteadyLoad(service.url, image, 2, pause_s) as load, BadLoad(service.url, image, pause_s) as bad:
        began = time.monotonic()
        while (at_s := time.monotonic() - began) < seconds:
            samples.append({"hours": at_s / 3600, **holdings(service)})
            time.sleep(min(_SAMPLE_S, seconds))
    scores = [answer.score for answer in load.answers if answer.score is not None]
    print(f"{len(scores)} good answers; bad ones: {dict(bad.answers)}")
    assert len(scores) > 20
    assert load.failures(0) == []
    assert max(scores) - min(scores) <= 1e-6
    statuses = {answer.rpartition(": ")[2] for answer in bad.answers}
    assert statuses <= {"200", "0", "400", "403", "404", "413", "415", "422", "503"}
    assert {"400", "403", "404", "415", "422"} <= statuses
    assert "restarting" not in service.printed()
    return samples


def holdings(service: Service) -> dict[str, float]:
    """Memory of each process without what it shares (MiB), open files, and the shared memory regions (MiB)."""
    processes = {"supervisor": service.process.pid}
    for pid in sorted(children_of(service.process.pid)):
        role = "tritonserver" if pid == service.triton_pid() else "gateway"
        processes[role] = pid
        processes |= {f"{role}'s process {i}": child for i, child in enumerate(sorted(children_of(pid)))}
    memory = {}
    for name, pid in processes.items():
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        memory[f"{name}, MiB"] = int(status.partition("RssAnon:")[2].split()[0]) / 1024
    files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes.values())
    prefixes = [path.stem for path in service.run_dir.glob("deepfake_*.json")]
    regions = [one for one in Path("/dev/shm").iterdir() if any(one.name.startswith(prefix) for prefix in prefixes)]
    shared = sum(region.stat().st_blocks * 512 for region in regions) / _MIB
    return {**memory, "open files": float(files), "shared memory, MiB": shared}


def trends(samples: Sequence[dict[str, float]]) -> dict[str, Trend]:
    kept = samples[round(len(samples) * _WARM_UP_SHARE) :]
    hours = np.array([sample["hours"] for sample in kept])
    names = [name for name in kept[0] if name != "hours" and all(name in sample for sample in kept)]
    return {name: trend(hours, np.array([sample[name] for sample in kept])) for name in names}


def test_bad_requests_harm_no_good_one(service: Service) -> None:
    soak(service, seconds=3, pause_s=0.02)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_nothing_grows_for_ever(tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path) -> None:
    seconds = 60 * float(os.environ.get("SOAK_MINUTES", "60"))
    with run_service(
        tiny_checkpoint, tiny_release.path.parent, tmp_path, {"DEEPFAKE_SCORE_CACHE_FRAMES": "0"}
    ) as soaked:
        found = trends(soak(soaked, seconds, pause_s=0.1))
    for name, line in found.items():
        print(f"{name:<28} {line.start:8.1f} {line.per_hour:+8.2f} an hour ({line.low:+.2f} to {line.high:+.2f})")
    grown = [name for name, line in found.items() if line.low > max(_MOST_GROWTH_PER_HOUR * line.start, 2)]
    assert grown == []
