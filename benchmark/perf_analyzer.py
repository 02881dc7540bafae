"""NVIDIA's perf_analyzer: closed and open loops over gRPC, and its CSV report."""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfake_client.settings import ClientSettings

from benchmark.perf import input_data

PROGRAM = "perf_analyzer"
_THREADS = 64
"""For calls that wait for their answers: more than there ever are at once. With --async the program hangs at times."""

_ATTEMPTS = 2
_TIMEOUT_S = 120.0
_DELAYED = re.compile(r"([\d.]+)% of the requests were delayed")
_LATENCY_PARTS = (
    "Client Send", "Network+Server Send/Recv", "Server Queue", "Server Compute Input", "Server Compute Infer",
    "Server Compute Output", "Client Recv",
)  # fmt: skip


class PerfAnalyzerError(Exception):
    """The program failed; its last lines are the message."""


@dataclass(frozen=True)
class GrpcPoint:
    """One measurement of the ensemble over gRPC.

    Attributes:
        load: Concurrent requests of a closed loop, or requests a second of an open one.
        arrivals: `closed`, `constant` or `poisson`.
        requests: How many were answered.
        images_per_s: Of a closed loop concurrency over mean latency (Little's law: the program's own figure counts
            whole seconds); of an open loop what it reports.
        mean_ms: Client latency, as are the next three.
        p50_ms: Half were quicker.
        p95_ms: 95% were quicker.
        p99_ms: 99% were quicker.
        network_ms: The part of the mean spent between client and server, both ways.
        delayed_percent: Requests of an open loop that were sent late.
    """

    load: float
    arrivals: str
    requests: int
    images_per_s: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    network_ms: float
    delayed_percent: float


def find_program(name: str = PROGRAM) -> str | None:
    """The program's path, None where there is none."""
    return shutil.which(name)


def parse_report(text: str, arrivals: str, requests: int, delayed_percent: float = 0.0) -> GrpcPoint:
    """Reads the CSV report of one measurement.

    Raises:
        PerfAnalyzerError: It has another form.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    try:
        (row,) = rows
        mean_us = sum(float(row[name]) for name in _LATENCY_PARTS)
        load = float(row["Concurrency" if arrivals == "closed" else "Request Rate"])
        return GrpcPoint(
            load=load,
            arrivals=arrivals,
            requests=requests,
            images_per_s=load * 1e6 / mean_us if arrivals == "closed" else float(row["Inferences/Second"]),
            mean_ms=mean_us / 1e3,
            p50_ms=float(row["p50 latency"]) / 1e3,
            p95_ms=float(row["p95 latency"]) / 1e3,
            p99_ms=float(row["p99 latency"]) / 1e3,
            network_ms=float(row["Network+Server Send/Recv"]) / 1e3,
            delayed_percent=delayed_percent,
        )
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise PerfAnalyzerError(f"its report cannot be read ({type(error).__name__}: {error}): {text[:300]}") from error


def write_input(images: Sequence[bytes], path: Path) -> Path:
    """Writes the images to send, in turn and then from the first one again."""
    path.write_text(input_data(images, 1), encoding="utf-8")
    return path


def measure(
    program: str,
    url: str,
    data: Path,
    *,
    load: float,
    requests: int,
    arrivals: str = "closed",
    timeout_s: float = _TIMEOUT_S,
) -> GrpcPoint:
    """Sends single images until `requests` of them are answered.

    Args:
        program: Path of perf_analyzer.
        url: host:port of Triton's gRPC endpoint.
        data: File of `write_input`.
        load: Concurrent requests, or requests a second.
        requests: How many.
        arrivals: `closed`, `constant` or `poisson`.
        timeout_s: When to try once more, and then to give up.

    Raises:
        PerfAnalyzerError: It failed or took too long.
    """
    table = data.with_suffix(".csv")
    table.unlink(missing_ok=True)
    rate = ["--request-rate-range", f"{load:.3f}", "--request-distribution", arrivals]
    command = [
        program, "-m", ClientSettings().model, "-u", url, "-i", "grpc", "-b", "1", "--input-data", str(data),
        *(["--concurrency-range", f"{load:.0f}"] if arrivals == "closed" else rate),
        "--sync", "--max-threads", str(_THREADS), "--request-count", str(requests), "-f", str(table),
    ]  # fmt: skip
    done = _run(command, timeout_s)
    if done.returncode or not table.exists():
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise PerfAnalyzerError(f"it ended with code {done.returncode}: {' / '.join(lines[-4:])}")
    delayed = _DELAYED.search(done.stdout)
    return parse_report(table.read_text("utf-8"), arrivals, requests, float(delayed[1]) if delayed else 0.0)


def _run(command: Sequence[str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
    """Runs it, a second time if it hangs."""
    for _ in range(_ATTEMPTS):
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            continue
    raise PerfAnalyzerError(f"it did not end within {timeout_s:g} s, {_ATTEMPTS} times")
