"""What `deepfake-bench run` measures: each part starts the servers it needs and returns its figures."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmark.bench import Bench
from benchmark.load import run_load
from benchmark.results import Figures, Rows, percentile, ratios
from benchmark.servers import BenchError, Server, stopped

Measured = Iterator[tuple[str, dict[str, float]]]
"""What a round yields: the name of a row, and its value by column."""

FRAMES = 30
LOAD_SHARE = 0.7
"""Share of the closed-loop capacity at which the open loops arrive."""

_CLIENTS = (1, 4)
_CAPACITY_CLIENTS = 4
_GEMM_TIMEOUT_S = 600


def measure_ratio(bench: Bench) -> Figures:
    """Requests of 30 frames over HTTP: every server in turn, each round."""

    def rate(server: Server) -> dict[str, float]:
        warm_up, *batches = (_files(bench, FRAMES) for _ in range(bench.requests + 1))
        server.score_frames(warm_up)
        started = time.perf_counter()
        for batch in batches:
            server.score_frames(batch)
        return {"images/s": bench.requests * FRAMES / (time.perf_counter() - started)}

    rows, ratio_columns = _in_turn(bench, rate, "images/s")
    return Figures(
        title="Requests of 30 frames over HTTP",
        note=f"{FRAMES} JPEG frames of 1280 x 720 with a face in one `POST /api/v1/inference`, one client, "
        f"{bench.requests} requests a round after one to warm up. `plain` is a plain Flask + transformers service, "
        "with 1 or 8 frames in a batch.",
        columns={"images/s": 2, **ratio_columns},
        rows=rows,
    )


def measure_latency(bench: Bench) -> Figures:
    """One image alone on an idle service."""

    def percentiles(server: Server) -> dict[str, float]:
        times_ms = []
        for path in _files(bench, 5 * bench.requests + 1):
            started = time.perf_counter()
            server.score_frames([path], "IMAGE")
            times_ms.append((time.perf_counter() - started) * 1e3)
        times = times_ms[1:]  # the first warms up
        return {"p50, ms": percentile(times, 50), "p95, ms": percentile(times, 95)}

    rows, ratio_columns = _in_turn(bench, percentiles, "p50, ms")
    return Figures(
        title="One image alone",
        note=f"One client, one image at a time, {5 * bench.requests} requests a round after one to warm up.",
        columns={"p50, ms": 1, "p95, ms": 1, **ratio_columns},
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
            arguments = [str(bench.checkpoint), str(bench.release(precision)), str(bench.window_s)]
            command = [sys.executable, "-m", "benchmark.gemm", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GEMM_TIMEOUT_S)
            if done.returncode:
                raise BenchError(f"benchmark.gemm ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            ceiling, rate = found["ceiling_gflops"], found["images_per_s"]
            share = rate * found["gflop_per_image"] / ceiling
            yield (
                precision,
                {"ceiling, GFLOP/s": ceiling, "classifier, images/s": rate, "share of the ceiling": share},
            )

    return Figures(
        title="The classifier against the machine's matrix products",
        note="The ceiling is what oneDNN reaches on the model's own shapes with all cores, each at its best batch; the "
        "classifier runs without a server. Only matrix products are counted.",
        columns={"ceiling, GFLOP/s": 0, "classifier, images/s": 2, "share of the ceiling": 2},
        rows=_rounds(bench, one_round),
    )


PARTS: dict[str, Callable[[Bench], Figures]] = {
    "ratio": measure_ratio,
    "latency": measure_latency,
    "servers": measure_servers,
    "tails": measure_tails,
    "gemm": measure_gemm,
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


def _in_turn(bench: Bench, measure: Callable[[Server], dict[str, float]], compared: str) -> tuple[Rows, dict[str, int]]:
    """Every server that takes listed frames in turn, in an order that turns from round to round.

    Returns:
        The rows, with the ratio of the column `compared` to each baseline's in the same round; and the decimals of
        these ratios by column.
    """
    if bench.gateway and bench.media_root is None:
        raise BenchError("without --media-root no frames can be put where the deployment reads them")
    baselines = bench.baselines()
    servers = [*baselines, *bench.ours.values()]

    def one_round() -> Measured:
        for server in servers:
            yield server.name, measure(server)
            bench.supply.forget()
        servers.reverse()

    rows = _rounds(bench, one_round)
    for baseline in baselines:
        base = rows[baseline.name][compared]
        for cells in rows.values():
            cells[f"over {baseline.name}"] = ratios(cells[compared], base)
    return rows, {f"over {baseline.name}": 3 for baseline in baselines}


def _files(bench: Bench, count: int) -> list[str]:
    """New frames, as paths below the media root, wherever the server sees that folder."""
    return [str(path.relative_to(bench.media)) for path in bench.supply.files(count)]
