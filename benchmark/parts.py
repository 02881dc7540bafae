"""What `deepfake-bench run` measures: each part starts the servers it needs and returns its figures."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from benchmark.bench import Bench
from benchmark.gemm import ceiling_flops, classifier_rate, products_of
from benchmark.load import run_load
from benchmark.results import Figures, Rows, percentile, ratios
from benchmark.servers import ROOT, BenchError, Server, stopped
from preprocessing import FaceDetector, FaceFinder

Measured = Iterator[tuple[str, dict[str, float]]]
"""What a round yields: the name of a row, and its value by column."""

FRAMES = 30
LOAD_SHARE = 0.7
"""Share of the closed-loop capacity at which the open loops arrive."""

# Timed in a round: requests of 30 frames, and single images.
_REQUESTS, _IMAGES = 3, 15
_SEARCHED = 60
_CLIENTS = (1, 4)
_CAPACITY_CLIENTS = 4
_STEPS = Path(__file__).with_name("steps.py")
_AS_OF_TRITON = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(2**17)}  # deploy/triton/program.py


def measure_ratio(bench: Bench) -> Figures:
    """Requests of 30 frames over HTTP: every server in turn, each round."""

    def rate(server: Server) -> dict[str, float]:
        with bench.frames(FRAMES * (_REQUESTS + 1)) as frames:
            server.score_frames(frames[:FRAMES])
            started = time.perf_counter()
            for first in range(FRAMES, len(frames), FRAMES):
                server.score_frames(frames[first : first + FRAMES])
            return {"images/s": _REQUESTS * FRAMES / (time.perf_counter() - started)}

    rows, ratio_columns = _in_turn(bench, rate, "images/s")
    return Figures(
        title="Requests of 30 frames over HTTP",
        note=f"{FRAMES} JPEG frames of 1280 x 720 with a face in one `POST /api/v1/inference`, one client, "
        f"{_REQUESTS} requests a round after one to warm up. `plain` is a plain Flask + transformers service, "
        "with 1 or 8 frames in a batch.",
        columns={"images/s": 2, **ratio_columns},
        rows=rows,
    )


def measure_latency(bench: Bench) -> Figures:
    """One image alone on an idle service."""

    def percentiles(server: Server) -> dict[str, float]:
        times_ms = []
        with bench.frames(_IMAGES + 1) as frames:
            for frame in frames:
                started = time.perf_counter()
                server.score_frames([frame], "IMAGE")
                times_ms.append((time.perf_counter() - started) * 1e3)
        times = times_ms[1:]  # the first warms up
        return {"p50, ms": percentile(times, 50), "p95, ms": percentile(times, 95)}

    rows, ratio_columns = _in_turn(bench, percentiles, "p50, ms")
    return Figures(
        title="One image alone",
        note=f"One client, one image at a time, {_IMAGES} requests a round after one to warm up.",
        columns={"p50, ms": 1, "p95, ms": 1, **ratio_columns},
        rows=rows,
    )


def measure_clients(bench: Bench) -> Figures:
    """Single images from one client and from eight: every server in turn, each round."""
    counts = {"1 client": 1, "8 clients": 8}

    def rates(server: Server) -> dict[str, float]:
        return {
            name: run_load(server, bench.frames_folder, bench.window_s, clients).images_per_s
            for name, clients in counts.items()
        }

    rows, ratio_columns = _in_turn(bench, rates, *counts)
    return Figures(
        title="Images/s of one client and of eight",
        note=f"Closed loops of {bench.window_s} s (Locust), one JPEG of 1280 x 720 with a face a request.",
        columns={**dict.fromkeys(counts, 2), **ratio_columns},
        rows=rows,
    )


def measure_servers(bench: Bench) -> Figures:
    """Single images in closed loops: LitServe, mosec, the plain service and ours; the others are held still."""
    precision, ours = list(bench.ours.items())[-1]
    servers = [ours] if bench.gateway else [bench.plain(1), *bench.frameworks(precision), ours]

    def one_round() -> Measured:
        for clients, server in itertools.product(_CLIENTS, servers):
            with stopped([other for other in servers if other not in (server, ours)]):
                found = run_load(server, bench.frames_folder, bench.window_s, clients)
            name = f"{server.name}, {clients} {'client' if clients == 1 else 'clients'}"
            yield name, {"images/s": found.images_per_s, "p50, ms": found.p50_ms, "p99, ms": found.p99_ms}

    return Figures(
        title="Single images beside other servers",
        note=f"Closed loops of {bench.window_s} s (Locust). LitServe, mosec and ours serve the same "
        f"{precision} release; the plain service is fp32. Ours answers at `/detect`, the others at `/predict`.",
        columns={"images/s": 2, "p50, ms": 0, "p99, ms": 0},
        rows=_rounds(bench, one_round),
    )


def measure_tails(bench: Bench) -> Figures:
    """Open loops over HTTP at 70% of the capacity found just before."""

    def one_round() -> Measured:
        for server in bench.ours.values():
            capacity = run_load(server, bench.frames_folder, bench.window_s, _CAPACITY_CLIENTS).images_per_s
            for arrivals in ("constant", "poisson"):
                load = run_load(server, bench.frames_folder, 4 * bench.window_s, 1, LOAD_SHARE * capacity, arrivals)
                cells = {"p50, ms": load.p50_ms, "p99, ms": load.p99_ms, "p99/p50": load.p99_ms / load.p50_ms}
                yield f"{server.name}, {arrivals}", {"capacity, images/s": capacity, **cells}

    return Figures(
        title=f"Tails at {LOAD_SHARE:.0%} of capacity",
        note="Single images at `/detect` (Locust). Arrivals, evenly spaced or Poisson, do not wait for "
        "answers, and a latency counts from when the request was due. Capacity: a closed loop of four clients just "
        "before.",
        columns={"capacity, images/s": 1, "p50, ms": 0, "p99, ms": 0, "p99/p50": 2},
        rows=_rounds(bench, one_round),
    )


def measure_gemm(bench: Bench) -> Figures:
    """The classifier without a server, as a share of the machine's GEMM ceiling."""

    def one_round() -> Measured:
        for precision in bench.ours:
            rate = classifier_rate(bench.release(precision), bench.window_s)
            products, flop_per_image = products_of(bench.checkpoint)
            ceiling = ceiling_flops(products, precision)
            cells = {"ceiling, GFLOP/s": ceiling / 1e9, "classifier, images/s": rate}
            yield precision, {**cells, "share of the ceiling": rate * flop_per_image / ceiling}

    return Figures(
        title="The classifier against the machine's matrix products",
        note="The ceiling is what oneDNN reaches on the model's own shapes with all cores, each at its best batch; the "
        "classifier runs without a server. Only matrix products are counted.",
        columns={"ceiling, GFLOP/s": 0, "classifier, images/s": 2, "share of the ceiling": 2},
        rows=_rounds(bench, one_round),
    )


def measure_faces(bench: Bench) -> Figures:
    """The search for faces without a server, by MediaPipe and by the direct detector."""
    models_dir = next(iter(fetch_assets(FACE_MODELS).values())).parent
    frames = [np.array(Image.open(path)) for path in sorted(bench.frames_folder.glob("*.jpg"))[:_SEARCHED]]

    def one_round() -> Measured:
        for detector in FaceDetector:
            finder = finders[detector]
            finder.faces(frames[0])
            started = time.process_time()
            for frame in frames:
                finder.faces(frame)
            yield detector, {"ms of processor time a frame": (time.process_time() - started) / len(frames) * 1e3}

    with ExitStack() as stack:
        finders = {one: stack.enter_context(closing(FaceFinder(models_dir, detector=one))) for one in FaceDetector}
        rows = _rounds(bench, one_round)
    return Figures(
        title="The search for faces",
        note=f"{_SEARCHED} decoded frames of 1280 x 720 with a face, one thread.",
        columns={"ms of processor time a frame": 2},
        rows=rows,
    )


def measure_steps(bench: Bench) -> Figures:
    """From a file to the classifier's pixels without a server, by this checkout and by `versus`."""
    checkouts = {"ms": ROOT, **({"other, ms": bench.versus.resolve()} if bench.versus else {})}

    def one_round() -> Measured:
        for column, checkout in checkouts.items():
            for step, ms in _steps_of(checkout, bench.frames_folder).items():
                yield step, {column: ms}

    rows = _rounds(bench, one_round)
    if bench.versus:
        for cells in rows.values():
            cells["over other"] = ratios(cells["ms"], cells["other, ms"])
    return Figures(
        title="From a file to the classifier's pixels",
        note="Milliseconds of processor time of one thread; frames are 1280 x 720 with a face.",
        columns={**dict.fromkeys(checkouts, 2), **({"over other": 3} if bench.versus else {})},
        rows=rows,
    )


def _steps_of(checkout: Path, frames: Path) -> dict[str, float]:
    python = checkout / ".venv" / "bin" / "python"
    command = [python if python.exists() else sys.executable, "-P", _STEPS, frames]
    environment = {**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'client'}", **_AS_OF_TRITON}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{checkout}: {done.stderr[-300:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


PARTS: dict[str, Callable[[Bench], Figures]] = {
    "ratio": measure_ratio,
    "latency": measure_latency,
    "clients": measure_clients,
    "servers": measure_servers,
    "tails": measure_tails,
    "gemm": measure_gemm,
    "faces": measure_faces,
    "steps": measure_steps,
}


def _rounds(bench: Bench, one_round: Callable[[], Measured]) -> Rows:
    """The rows that all rounds make together."""
    rows: Rows = {}
    for number in range(bench.rounds):
        for name, cells in one_round():
            for column, value in cells.items():
                rows.setdefault(name, {}).setdefault(column, []).append(value)
        latest = (f"{name} {next(iter(cells.values()))[-1]:.2f}" for name, cells in rows.items())
        bench.say(f"round {number + 1}: " + ", ".join(latest))
    return rows


def _in_turn(
    bench: Bench, measure: Callable[[Server], dict[str, float]], *compared: str
) -> tuple[Rows, dict[str, int]]:
    """Every server that takes listed frames in turn, in an order that turns from round to round.

    Returns:
        The rows, with the ratio of each column of `compared` to each baseline's in the same round; and the decimals of
        these ratios by column.
    """
    baselines = bench.baselines()
    servers = [*baselines, *bench.ours.values()]

    def one_round() -> Measured:
        for server in servers:
            yield server.name, measure(server)
        servers.reverse()

    rows, decimals = _rounds(bench, one_round), {}
    for baseline, column in itertools.product(baselines, compared):
        name = f"over {baseline.name}" if len(compared) == 1 else f"{column}, over {baseline.name}"
        base = rows[baseline.name][column]
        for cells in rows.values():
            cells[name] = ratios(cells[column], base)
        decimals[name] = 3
    return rows, decimals
