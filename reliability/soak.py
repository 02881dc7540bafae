"""Hours of good and bad requests: `python -m reliability.soak --minutes 60`.

The memory of every process, its open files and the shared memory are read every few seconds, and the time of every good
answer is kept. After a warm-up a straight line is fitted to each: what grows for ever shows as a slope.
"""

import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import requests
import typer
from numpy.typing import NDArray

from assets import SAMPLE_PHOTOS, default_cache_dir, fetch_assets
from benchmark.contenders.start import OurService, serve_ours
from benchmark.seeded_checkpoint import make_untrained_checkpoint
from deploy.process import children_of
from deploy.triton.shared_memory import SHM
from tests.steady_load import SteadyLoad

_SAMPLE_S = 5.0
_WARM_UP_SHARE = 0.25
_MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """One look at the service.

    Attributes:
        at_s: Since the start of the load.
        rss_mib: Resident memory by process, named after role and number.
        descriptors: Open files of all processes.
        shm_mib: Size of the service's shared memory regions.
    """

    at_s: float
    rss_mib: dict[str, float]
    descriptors: int
    shm_mib: float


@dataclass(frozen=True)
class Trend:
    """A straight line through a figure after the warm-up.

    Attributes:
        start: Its value on the line where the warm-up ends.
        per_hour: Its slope.
        low_per_hour: Lower end of the slope's 95% interval (blocks of samples drawn again and again).
        high_per_hour: Upper end.
    """

    start: float
    per_hour: float
    low_per_hour: float
    high_per_hour: float


def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long.")] = 60.0,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Directory of the model; default: a tiny seeded one, for many requests.")
    ] = None,
    pause_s: Annotated[float, typer.Option(min=0, help="Of each of three threads after an answer.")] = 0.1,
    output: Annotated[Path | None, typer.Option(help="Write samples and trends here as JSON.")] = None,
) -> None:
    """Loads the service for a while and prints what grew. Exit code 1: a good request failed or a score was wrong."""
    image = fetch_assets(SAMPLE_PHOTOS)["astronaut.png"].read_bytes()
    folder = default_cache_dir() / "reliability"
    source = checkpoint or folder / "tiny"
    if not source.exists():
        make_untrained_checkpoint(source, hidden_size=64, layers=2)
    with tempfile.TemporaryDirectory(prefix="deepfake-soak-") as scratch:
        state = Path(scratch)
        (state / "media").mkdir()
        (state / "media" / "frame.png").write_bytes(image)
        with serve_ours(
            source, folder / "releases-tiny", state / "media", state / "service", {"PRECISION": "fp32"}
        ) as service:
            samples, load, bad = _run(service, image, minutes * 60, pause_s)
            restarts = [line for line in service.log.read_text("utf-8").splitlines() if "restarting" in line]
    failures = load.failures(0)
    scores = [answer.score for answer in load.answers if answer.score is not None]
    wrong = sum(abs(score - scores[0]) > 1e-6 for score in scores)
    trends = _trends(samples)
    _print(samples, load, bad, trends, wrong)
    for line in restarts:
        print(line)
    if output:
        record = {
            "minutes": minutes,
            "good_answered": len(scores),
            "good_failed": dict(Counter(answer.status for answer in failures)),
            "wrong_scores": wrong,
            "restarts": restarts,
            "bad_answers": bad,
            "trends": {name: asdict(trend) for name, trend in trends.items()},
            "latency_s": _latency_over_time(load),
            "samples": [asdict(sample) for sample in samples],
        }
        output.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    if failures or wrong:
        raise typer.Exit(1)


def _run(
    service: OurService, image: bytes, duration_s: float, pause_s: float
) -> tuple[list[Sample], SteadyLoad, dict[str, int]]:
    samples: list[Sample] = []
    with SteadyLoad(service.url, image, 2, pause_s) as load, _BadLoad(service.url, image, pause_s) as bad:
        began = time.monotonic()
        while (at_s := time.monotonic() - began) < duration_s:
            samples.append(_sample(service, at_s))
            if len(samples) % 60 == 1:
                total = sum(samples[-1].rss_mib.values())
                print(f"{at_s / 60:5.1f} min: {total:.0f} MiB, {len(load.answers)} good", file=sys.stderr, flush=True)
            time.sleep(max(_SAMPLE_S - (time.monotonic() - began - at_s), 0))
    return samples, load, dict(bad.answers)


class _BadLoad:
    """Requests that must be refused, of many kinds, one after the other in one thread."""

    def __init__(self, url: str, image: bytes, pause_s: float) -> None:
        self.answers: Counter[str] = Counter()
        self._pause_s = pause_s
        self._kinds = _bad_requests(url, image)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_BadLoad":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        draw = random.Random(0)
        while not self._stop.wait(self._pause_s):
            name = draw.choice(sorted(self._kinds))
            try:
                self.answers[f"{name}: {self._kinds[name](draw)}"] += 1
            except requests.RequestException as error:
                self.answers[f"{name}: {type(error).__name__}"] += 1


def _bad_requests(url: str, image: bytes) -> dict[str, Callable[[random.Random], int]]:
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


def _sample(service: OurService, at_s: float) -> Sample:
    roles = _roles(service.pid)
    prefixes = [path.stem for path in (service.log.parent / "cache" / "run").glob("deepfake_*.json")]
    regions = [region for region in SHM.iterdir() if any(region.name.startswith(prefix) for prefix in prefixes)]
    return Sample(
        at_s=at_s,
        rss_mib={name: _rss_mib(pid) for name, pid in roles.items()},
        descriptors=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in roles.values()),
        shm_mib=sum(region.stat().st_blocks * 512 for region in regions) / _MIB,
    )


def _roles(supervisor: int) -> dict[str, int]:
    """Every process of the service by role and number; the numbers follow the process ids."""
    roles = {"supervisor": supervisor}
    for pid in sorted(children_of(supervisor)):
        is_triton = b"tritonserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
        roles["tritonserver" if is_triton else "gunicorn"] = pid
        for number, child in enumerate(sorted(children_of(pid)), start=1):
            roles[f"{'model process' if is_triton else 'gateway worker'} {number}"] = child
    return roles


def _rss_mib(pid: int) -> float:
    """Resident memory without what is shared with other processes through files and /dev/shm."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines() if ":" in line
    )
    return int(fields["RssAnon"].split()[0]) / 1024


def _trends(samples: Sequence[Sample]) -> dict[str, Trend]:
    kept = samples[round(len(samples) * _WARM_UP_SHARE) :]
    hours = np.array([sample.at_s for sample in kept]) / 3600
    names = [name for name in kept[0].rss_mib if all(name in sample.rss_mib for sample in kept)]
    figures = {f"{name}, MiB": [sample.rss_mib[name] for sample in kept] for name in names}
    figures["open files"] = [float(sample.descriptors) for sample in kept]
    figures["shared memory, MiB"] = [sample.shm_mib for sample in kept]
    return {name: _trend(hours, np.array(values)) for name, values in figures.items()}


def _trend(hours: NDArray[np.float64], values: NDArray[np.float64]) -> Trend:
    slope, _ = np.polyfit(hours, values, 1)
    start = float(np.polyval(np.polyfit(hours, values, 1), hours[0]))
    # Neighbouring samples are alike, so whole blocks are drawn.
    random_ = np.random.default_rng(0)
    blocks = np.array_split(np.arange(len(values)), max(min(20, len(values) // 3), 2))
    slopes = []
    for _ in range(400):
        drawn = np.concatenate([blocks[i] for i in random_.integers(len(blocks), size=len(blocks))])
        if np.ptp(hours[drawn]) > 0:
            slopes.append(np.polyfit(hours[drawn], values[drawn], 1)[0])
    low, high = np.percentile(slopes, [2.5, 97.5])
    return Trend(start, float(slope), float(low), float(high))


def _latency_over_time(load: SteadyLoad, parts: int = 12) -> list[dict[str, float]]:
    """Median and 95th percentile of the good answers' times, part by part."""
    taken = [answer.took_s for answer in load.answers if answer.status == 200]
    return [
        {"p50": float(np.percentile(part, 50)), "p95": float(np.percentile(part, 95))}
        for part in np.array_split(np.array(taken), parts)
        if len(part)
    ]


def _print(
    samples: Sequence[Sample], load: SteadyLoad, bad: dict[str, int], trends: dict[str, Trend], wrong: int
) -> None:
    answered = sum(answer.status == 200 for answer in load.answers)
    minutes, failed = samples[-1].at_s / 60, len(load.failures(0))
    print(f"{minutes:.0f} minutes; good: {answered} answered, {failed} failed, {wrong} wrong")
    for name, count in sorted(bad.items()):
        print(f"  {name:<36} {count:6d}")
    for name, trend in trends.items():
        print(
            f"{name:<28} {trend.start:8.1f} {trend.per_hour:+8.2f} an hour "
            f"({trend.low_per_hour:+.2f} to {trend.high_per_hour:+.2f})"
        )
    for number, part in enumerate(_latency_over_time(load), start=1):
        print(f"latency, part {number:2d}: p50 {part['p50'] * 1000:5.0f} ms, p95 {part['p95'] * 1000:5.0f} ms")


if __name__ == "__main__":
    typer.run(soak)
