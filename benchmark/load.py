"""A load of single images over HTTP and what it showed: runs `locustfile.py` in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmark.results import percentile
from benchmark.servers import ROOT, Server

_LONGEST_S = 120.0  # beside the load itself: the start, and the last answers


class LoadError(Exception):
    """The load could not be made, or requests failed."""


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


def closed_loop(server: Server, images: Path, clients: int, seconds: float) -> LoadResult:
    """Clients that ask again as soon as they are answered.

    Args:
        server: What is measured.
        images: Folder with JPEG files.
        clients: How many.
        seconds: No request is sent later; those on their way are waited for.

    Raises:
        LoadError: Locust failed, or a request did.
    """
    return _run(server, images, ["-u", str(clients), "-r", str(clients)], {}, seconds)


def open_loop(server: Server, images: Path, rate: float, arrivals: str, seconds: float) -> LoadResult:
    """Requests at a rate, whether or not the server keeps up; latency counts from when each was due.

    Args:
        server: What is measured.
        images: Folder with JPEG files.
        rate: Arrivals a second.
        arrivals: `constant` or `poisson`.
        seconds: No request is due later; those on their way are waited for.

    Raises:
        LoadError: Locust failed, or a request did.
    """
    return _run(server, images, ["-u", "1"], {"RATE": str(rate), "ARRIVALS": arrivals}, seconds)


def _run(server: Server, images: Path, options: list[str], env: dict[str, str], seconds: float) -> LoadResult:
    with tempfile.TemporaryDirectory(prefix="deepfake-load-") as scratch:
        result = Path(scratch) / "result.json"
        command = [
            sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless",
            "--host", server.url, "--only-summary", *options,
        ]  # fmt: skip
        own = {
            "IMAGES": str(images.resolve()),
            "ROUTE": server.route,
            "RESULT": str(result),
            "SECONDS": str(seconds),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            command, env={**os.environ, **env, **own}, cwd=scratch, capture_output=True, text=True, check=False,
            timeout=seconds + _LONGEST_S,
        )  # fmt: skip
        if not result.exists():
            raise LoadError(f"Locust ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
        records = json.loads(result.read_text(encoding="utf-8"))
    failed = [status for _, _, status in records if status != 200]
    if failed or not records:
        raise LoadError(f"{server.name}: {len(failed)} of {len(records)} requests failed: {sorted(set(failed))}")
    took_s = max(end for _, end, _ in records) - min(due for due, _, _ in records)
    latencies_ms = [(end - due) * 1e3 for due, end, _ in records]
    return LoadResult(len(records), len(records) / took_s, percentile(latencies_ms, 50), percentile(latencies_ms, 99))
