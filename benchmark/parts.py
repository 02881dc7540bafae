"""What `deepfake-bench run` measures: each part starts the servers it needs and returns its figures."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

from benchmark.bench import Bench, LeftOutError
from benchmark.calls import score_frames
from benchmark.load import closed_loop, open_loop
from benchmark.results import Figures, Rows, percentile, ratios
from benchmark.servers import Server, ServerError, stopped

FRAMES = 30
LOAD_SHARE = 0.7
"""Share of the closed-loop capacity at which the open loops arrive."""

_CLIENTS = (1, 4)
_CAPACITY_CLIENTS = 4
_GEMM_TIMEOUT_S = 600


def measure_ratio(bench: Bench) -> Figures:
    """Requests of 30 frames over HTTP: every server in turn, each round."""
    rows = _rounds(bench, lambda server: {"images/s": _frames_rate(bench, server)})
    columns = {"images/s": 2, **_over_baselines(bench, rows, "images/s")}
    requests = bench.options.requests
    note = (
        f"{FRAMES} JPEG frames of 1280 x 720 with a face in one `POST /api/v1/inference`, one client, {requests} "
        "requests a round after one to warm up. `plain` is a plain Flask + transformers service, with 1 or 8 frames in "
        "a batch."
    )
    return Figures(title="Requests of 30 frames over HTTP", note=note, columns=columns, rows=rows)


def measure_latency(bench: Bench) -> Figures:
    """One image alone on an idle service."""

    def percentiles(server: Server) -> dict[str, float]:
        times = _image_times_ms(bench, server)
        return {"p50, ms": percentile(times, 50), "p95, ms": percentile(times, 95)}

    rows = _rounds(bench, percentiles)
    columns = {"p50, ms": 1, "p95, ms": 1, **_over_baselines(bench, rows, "p50, ms")}
    note = f"One client, one image at a time, {5 * bench.options.requests} requests a round after one to warm up."
    return Figures(title="One image alone", note=note, columns=columns, rows=rows)


def measure_servers(bench: Bench) -> Figures:
    """Single images in closed loops: LitServe, mosec, the plain service and ours; the others are held still."""
    precision, ours = list(bench.ours().items())[-1]
    servers = [ours] if bench.options.gateway else [bench.plain(1), *bench.frameworks(precision), ours]
    rows: Rows = {}
    for number in range(bench.options.rounds):
        for clients in _CLIENTS:
            for server in servers:
                with stopped([other for other in servers if other not in (server, ours)]):
                    found = closed_loop(server, bench.frames_folder, clients, bench.options.window_s)
                name = f"{server.name}, {clients} {'client' if clients == 1 else 'clients'}"
                _add(rows, name, {"images/s": found.images_per_s, "p50, ms": found.p50_ms, "p99, ms": found.p99_ms})
        _say_round(bench, number, rows)
    return Figures(
        title="Single images beside other servers",
        note=f"Closed loops of {bench.options.window_s:g} s (Locust). LitServe, mosec and ours serve the same "
        f"{precision} release; the plain service is fp32. Ours answers at `/detect`, the others at `/predict`.",
        columns={"images/s": 2, "p50, ms": 0, "p99, ms": 0},
        rows=rows,
    )


def measure_tails(bench: Bench) -> Figures:
    """Open loops over HTTP at 70% of the capacity found just before."""
    rows: Rows = {}
    window_s = bench.options.window_s
    for number in range(bench.options.rounds):
        for server in bench.ours().values():
            capacity = closed_loop(server, bench.frames_folder, _CAPACITY_CLIENTS, window_s).images_per_s
            for arrivals in ("constant", "poisson"):
                load = open_loop(server, bench.frames_folder, LOAD_SHARE * capacity, arrivals, 4 * window_s)
                cells = {"p50, ms": load.p50_ms, "p99, ms": load.p99_ms, "p99/p50": load.p99_ms / load.p50_ms}
                _add(rows, f"{server.name}, {arrivals}", {"capacity, images/s": capacity, **cells})
        _say_round(bench, number, rows)
    return Figures(
        title=f"Tails at {LOAD_SHARE:.0%} of capacity",
        note="Single images at `/detect` (Locust). Arrivals, evenly spaced or Poisson, do not wait for "
        "answers, and a latency counts from when the request was due. Capacity: a closed loop of four clients just "
        "before.",
        columns={"capacity, images/s": 1, "p50, ms": 0, "p99, ms": 0, "p99/p50": 2},
        rows=rows,
    )


def measure_gemm(bench: Bench) -> Figures:
    """The classifier without a server, as a share of the machine's GEMM ceiling."""
    rows: Rows = {}
    for number in range(bench.options.rounds):
        for precision in bench.ours():
            release = str(bench.release(precision))
            command = [
                sys.executable,
                "-m",
                "benchmark.gemm",
                str(bench.checkpoint),
                release,
                str(bench.options.window_s),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GEMM_TIMEOUT_S)
            if done.returncode:
                raise ServerError(f"benchmark.gemm ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            ceiling, rate = found["ceiling_gflops"], found["images_per_s"]
            share = rate * found["gflop_per_image"] / ceiling
            cells = {"ceiling, GFLOP/s": ceiling, "classifier, images/s": rate, "share of the ceiling": share}
            _add(rows, precision, cells)
        _say_round(bench, number, rows)
    return Figures(
        title="The classifier against the machine's matrix products",
        note="The ceiling is what oneDNN reaches on the model's own shapes with all cores, each at its best batch; the "
        "classifier runs without a server. Only matrix products are counted.",
        columns={"ceiling, GFLOP/s": 0, "classifier, images/s": 2, "share of the ceiling": 2},
        rows=rows,
    )


PARTS: dict[str, Callable[[Bench], Figures]] = {
    "ratio": measure_ratio,
    "latency": measure_latency,
    "servers": measure_servers,
    "tails": measure_tails,
    "gemm": measure_gemm,
}


def _rounds(bench: Bench, measure: Callable[[Server], dict[str, float]]) -> Rows:
    """Every server that takes listed frames in turn, each round; the order turns from round to round."""
    if bench.options.gateway and bench.options.media_root is None:
        raise LeftOutError("without --media-root no frames can be put where the deployment reads them")
    servers = [*bench.baselines(), *bench.ours().values()]
    rows: Rows = {server.name: {} for server in servers}
    for number in range(bench.options.rounds):
        for server in servers if number % 2 == 0 else servers[::-1]:
            _add(rows, server.name, measure(server))
        _say_round(bench, number, rows)
    return rows


def _files(bench: Bench, count: int) -> list[str]:
    """New frames, as paths below the media root, wherever the server sees that folder."""
    return [str(path.relative_to(bench.media_root)) for path in bench.supply.files(count)]


def _frames_rate(bench: Bench, server: Server) -> float:
    """Images a second of requests of 30 frames, one after the other, after one to warm up."""
    requests = bench.options.requests
    batches = [_files(bench, FRAMES) for _ in range(requests + 1)]
    score_frames(server.url, batches[0])
    started = time.perf_counter()
    for batch in batches[1:]:
        score_frames(server.url, batch)
    elapsed_s = time.perf_counter() - started
    bench.supply.forget()
    return requests * FRAMES / elapsed_s


def _image_times_ms(bench: Bench, server: Server) -> list[float]:
    """Milliseconds of requests for one image, one after the other, after one to warm up."""
    times = []
    for path in _files(bench, 5 * bench.options.requests + 1):
        started = time.perf_counter()
        score_frames(server.url, [path], "IMAGE")
        times.append((time.perf_counter() - started) * 1e3)
    bench.supply.forget()
    return times[1:]


def _over_baselines(bench: Bench, rows: Rows, column: str) -> dict[str, int]:
    """Adds the ratio to each baseline within each round; returns the new columns with their decimals."""
    added = {}
    for server in bench.baselines():
        base = rows[server.name][column]
        for cells in rows.values():
            cells[f"over {server.name}"] = ratios(cells[column], base)
        added[f"over {server.name}"] = 3
    return added


def _add(rows: Rows, name: str, cells: dict[str, float]) -> None:
    """Adds the values of one round to a row."""
    row = rows.setdefault(name, {})
    for column, value in cells.items():
        row.setdefault(column, []).append(value)


def _say_round(bench: Bench, number: int, rows: Rows) -> None:
    latest = (f"{name} {next(iter(cells.values()))[-1]:.2f}" for name, cells in rows.items())
    bench.say(f"round {number + 1}: " + ", ".join(latest))
