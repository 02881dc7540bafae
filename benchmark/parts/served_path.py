"""What serving costs: our whole HTTP path against one bare process without any server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmark.bench import Bench, LeftOutError, Target
from benchmark.gateway_calls import post_frames
from benchmark.parts.subprocess_json import run_module
from benchmark.parts.video_ratio import FRAMES
from benchmark.spread import Spread, ratios

_CLIENTS = 2


@dataclass(frozen=True)
class Served:
    """One precision, one value per round.

    Attributes:
        server: Its name.
        bare: Images a second of the bare process.
        served: Images a second through the gateway, two clients with requests of 30 frames.
    """

    server: str
    bare: list[float]
    served: list[float]

    def share(self) -> Spread:
        """Served over bare."""
        return ratios(self.served, self.bare)


@dataclass(frozen=True)
class ServedPath:
    """The part's figures."""

    servers: list[Served]


def measure(bench: Bench) -> ServedPath:
    """The bare process and the service in turn, which then rest in turn.

    Raises:
        LeftOutError: A running deployment is measured.
    """
    if bench.options.remote:
        raise LeftOutError("the bare process runs on the machine of the server")
    found = {precision: Served(bench.ours(precision).name, [], []) for precision in bench.precisions}
    for number in range(bench.options.rounds):
        for precision, served in found.items():
            served.bare.append(_bare_rate(bench, precision))
            served.served.append(_served_rate(bench, bench.ours(precision)))
            rates = f"bare {served.bare[-1]:.2f}, served {served.served[-1]:.2f} images/s"
            bench.say(f"round {number + 1}, {served.server}: {rates}")
    return ServedPath(list(found.values()))


def _bare_rate(bench: Bench, precision: str) -> float:
    release, seconds = str(bench.release(precision)), str(bench.options.window_s)
    found = run_module("benchmark.contenders.bare", release, str(bench.frames_folder), "--seconds", seconds)
    return float(found["images_per_s"])


def _served_rate(bench: Bench, target: Target) -> float:
    """Frames a second of clients that send one request after the other, for a window and until all are answered."""
    files = bench.supply.files(FRAMES)
    post_frames(target.url, files, "VIDEO")
    lock, done = threading.Lock(), []
    started = time.perf_counter()

    def client(_number: int) -> None:
        while time.perf_counter() - started < bench.options.window_s:
            with lock:
                batch = bench.supply.files(FRAMES)
            post_frames(target.url, batch, "VIDEO")
            done.append(time.perf_counter())
            for path in batch:
                path.unlink()

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(client, range(_CLIENTS)))
    # The last client computes alone at the end; its tail is part of the time.
    return len(done) * FRAMES / (max(done) - started)
