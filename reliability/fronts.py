"""What stands in front of the application, chosen by measurement: `python -m reliability.fronts`.

The same application behind each server that is installed, all in front of one Triton with a tiny model. A crowd of slow
clients of each kind is sent to one server after the other, round by round, while good clients ask. Then, with the only
place taken: how soon others are refused and at what cost, and whether a client's leaving frees its place.
"""

import http.client
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assets import SAMPLE_PHOTOS, default_cache_dir, fetch_assets
from benchmark.contenders.process_tree import stopped
from benchmark.contenders.start import OurService, serve_ours
from benchmark.frames import make_face_frames
from benchmark.http_requests import HttpRequests, detect_requests
from benchmark.seeded_checkpoint import make_untrained_checkpoint
from benchmark.spread import Spread, ratios
from reliability.front_servers import Front, Starter, installed
from reliability.refusal_cost import SETTINGS, ask_in_vain, cpu_s, full, place_taken
from reliability.slow_clients import KINDS, SlowClients

_GOOD_CLIENTS = 4
_GOOD_TIMEOUT_S = 5.0
_CROWDED_S = 2.0
_REFUSALS = 400
_LEFT_S = 5.0
_AGAIN_S = 0.05
_NO_ATTACK = "none"


@dataclass(frozen=True)
class Served:
    """How good clients fared.

    Attributes:
        per_s: Good answers per second.
        p99_s: 99th percentile of their times.
        failed: Requests without one: HTTP statuses, 0 for none.
        memory_mib: Of the server at the end.
    """

    per_s: float
    p99_s: float
    failed: Counter[int]
    memory_mib: float


def fronts(
    rounds: Annotated[int, typer.Option(min=1, help="How often.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="Of each measurement.")] = 5.0,
    clients: Annotated[int, typer.Option(min=1, help="Slow ones at a time.")] = 200,
) -> None:
    """Measures every server that is installed and prints two tables."""
    starters = installed()
    photo = detect_requests([fetch_assets(SAMPLE_PHOTOS)["camera.png"]])
    folder = default_cache_dir() / "reliability"
    tiny = folder / "tiny"
    if not tiny.exists():
        make_untrained_checkpoint(tiny, hidden_size=64, layers=2)
    found: dict[tuple[str, str], list[Served]] = {}
    with tempfile.TemporaryDirectory(prefix="deepfake-fronts-") as scratch, ExitStack() as stack:
        state = Path(scratch)
        (state / "media").mkdir()
        service = stack.enter_context(
            serve_ours(tiny, folder / "releases-tiny", state / "media", state / "service", {"PRECISION": "fp32"})
        )
        settings = {"TRITON_URL": service.grpc, "GATEWAY_WORKERS": "2", "SCORE_CACHE_FRAMES": "0"}
        running = {}
        for number, (name, start) in enumerate(starters.items()):
            (state / str(number)).mkdir()
            running[name] = stack.enter_context(start(state / str(number), settings))
        for number in range(rounds):
            for attack in (_NO_ATTACK, *KINDS):
                for name, front in running.items():
                    served = _served(front, photo, attack, clients, seconds)
                    print(f"round {number + 1}: {name}, {attack}: {served}", file=sys.stderr, flush=True)
                    found.setdefault((attack, name), []).append(served)
        _print_served(found)
        _print_refusals(starters, folder, service)


def _served(front: Front, photo: HttpRequests, attack: str, clients: int, seconds: float) -> Served:
    crowd = nullcontext() if attack == _NO_ATTACK else SlowClients(front.port, attack, clients)
    with crowd:
        time.sleep(_CROWDED_S)
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(_GOOD_CLIENTS) as pool:
            asking = [pool.submit(_good_client, front.port, photo, end) for _ in range(_GOOD_CLIENTS)]
            answers = [answer for one in asking for answer in one.result()]
        memory_mib = front.memory_mib()
    good = [time_s for status, time_s in answers if status == 200]
    p99_s = float(np.percentile(good, 99)) if good else float("nan")
    return Served(len(good) / seconds, p99_s, Counter(status for status, _ in answers if status != 200), memory_mib)


def _good_client(port: int, photo: HttpRequests, end: float) -> list[tuple[int, float]]:
    """Asks again and again, on a connection each, as those do that come once: statuses, and times in seconds."""
    answers = []
    while (sent := time.monotonic()) < end:
        status = 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GOOD_TIMEOUT_S)
        try:
            connection.request("POST", photo.path, photo.body(0), {"Content-Type": photo.content_type})
            with connection.getresponse() as answer:
                answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        answers.append((status, time.monotonic() - sent))
        if status != 200:
            time.sleep(_AGAIN_S)
    return answers


def _print_served(found: dict[tuple[str, str], list[Served]]) -> None:
    print(f"{'attack':<14}{'front':<14}{'good/s':<22}{'of no attack':<20}{'p99, ms':<24}{'MiB':<6}failed")
    for (attack, name), rounds in found.items():
        rates = [one.per_s for one in rounds]
        kept = ratios(rates, [one.per_s for one in found[_NO_ATTACK, name]])
        p99_ms = Spread.of([one.p99_s * 1000 for one in rounds])
        failed = sum((one.failed for one in rounds), Counter())
        memory = Spread.of([one.memory_mib for one in rounds])
        said = ", ".join(f"{count} x {status}" for status, count in sorted(failed.items())) or "0"
        print(
            f"{attack:<14}{name:<14}{Spread.of(rates).text(1):<22}{kept.text():<20}{p99_ms.text(0):<24}"
            f"{memory.median:<6.0f}{said}"
        )


def _print_refusals(starters: dict[str, Starter], folder: Path, service: OurService) -> None:
    requests = detect_requests(make_face_frames(folder / "frames", 20))
    print(f"{'front':<14}{'refused, p50, ms':<18}{'p99, ms':<10}{'CPU ms each':<13}place free after its client left, s")
    for name, start in starters.items():
        with full(start, requests, {}) as front:
            before_s = cpu_s(front)
            times_ms = [time_s * 1000 for time_s in ask_in_vain(front.port, requests, _REFUSALS, keep=False)]
            cost_ms = (cpu_s(front) - before_s) / len(times_ms) * 1000
        freed = _freed_after_s(start, requests, service)
        p50, p99 = np.percentile(times_ms, [50, 99])
        print(f"{name:<14}{p50:<18.1f}{p99:<10.1f}{cost_ms:<13.2f}{freed}")


def _freed_after_s(start: Starter, requests: HttpRequests, service: OurService) -> str:
    """How long after its client has left the only place is given to another, while Triton stands still."""
    with tempfile.TemporaryDirectory(prefix="deepfake-fronts-") as scratch:
        settings = {**SETTINGS, "TRITON_URL": service.grpc, "GATEWAY_WORKERS": "1"}
        with start(Path(scratch), settings) as front:
            _good_client(front.port, requests, time.monotonic() + 1)  # it knows Triton now
            with stopped(service.pids()):
                with place_taken(front.port, requests):
                    pass
                return _until_taken_s(front.port, requests)


def _until_taken_s(port: int, requests: HttpRequests) -> str:
    left = time.monotonic()
    while time.monotonic() - left < _LEFT_S:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        sent = time.monotonic()
        try:
            connection.request("POST", requests.path, requests.body(0), {"Content-Type": requests.content_type})
            connection.getresponse().read()  # refused
            time.sleep(_AGAIN_S)
        except TimeoutError:  # being worked on
            return f"{sent - left:.1f}"
        finally:
            connection.close()
    return f"not within {_LEFT_S:.0f}"


if __name__ == "__main__":
    typer.run(fronts)
