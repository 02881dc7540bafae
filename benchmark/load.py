"""A load of single images over HTTP and what it showed: runs `locustfile.py` in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmark.results import percentile
from benchmark.servers import ROOT, BenchError, Server

_START_S, _LAST_ANSWERS_S = 60, 60


@dataclass(frozen=True)
class LoadResult:
    """What a load showed.

    Attributes:
        requests: Answered with 200; there were no others.
        images_per_s: From the first arrival to the last answer.
        p50_ms: Latency: half were quicker.
        p99_ms: 99% were quicker.
    """

    requests: int
    images_per_s: float
    p50_ms: float
    p99_ms: float


def run_load(
    server: Server, images: Path, seconds: int, clients: int = 1, rate: float = 0, arrivals: str = "poisson"
) -> LoadResult:
    """A closed loop, in which clients ask again as soon as they are answered; or with `rate` an open one.

    Args:
        server: What is measured.
        images: Folder with JPEG files.
        seconds: No request is sent later; those on their way are waited for.
        clients: Of the closed loop; 1 for the open one.
        rate: Arrivals a second, whether or not the server keeps up; latency counts from when a request was due.
        arrivals: `constant` or `poisson`.

    Raises:
        BenchError: Locust failed, or a request did.
    """
    with tempfile.TemporaryDirectory(prefix="deepfake-load-") as scratch:
        result = Path(scratch) / "result.json"
        command = [
            sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless",
            "--host", server.url, "--only-summary", "-u", str(clients), "-r", str(clients),
            "--stop-timeout", str(_LAST_ANSWERS_S),
        ]  # fmt: skip
        settings = {
            "IMAGES": str(images.resolve()), "ROUTE": server.route, "RESULT": str(result), "RATE": str(rate),
            "SECONDS": str(seconds), "ARRIVALS": arrivals, "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        done = subprocess.run(
            command, env={**os.environ, **settings}, cwd=scratch, capture_output=True, text=True, check=False,
            timeout=_START_S + seconds + _LAST_ANSWERS_S,
        )  # fmt: skip
        if not result.exists():
            raise BenchError(f"Locust ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
        records = json.loads(result.read_text(encoding="utf-8"))
    failed = [status for _, _, status in records if status != 200]
    if failed or not records:
        raise BenchError(f"{server.name}: {len(failed)} of {len(records)} requests failed: {sorted(set(failed))}")
    took_s = max(end for _, end, _ in records) - min(due for due, _, _ in records)
    latencies_ms = [(end - due) * 1e3 for due, end, _ in records]
    return LoadResult(len(records), len(records) / took_s, percentile(latencies_ms, 50), percentile(latencies_ms, 99))
