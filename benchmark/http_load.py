"""Loads an HTTP server and measures how long its answers take.

Closed loop: a number of clients, each of which asks again as soon as it was answered. Open loop: requests arrive at a
rate, whether or not the server keeps up; latency counts from the intended arrival, so that a server that stalls is
charged for those who wait in the meantime. Locust sends the requests, in a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.http_requests import HttpRequests

_START_S = 60.0
Arrivals = Literal["constant", "poisson"]


class LoadError(Exception):
    """The load could not be made."""


@dataclass(frozen=True)
class LoadPlan:
    """How requests are sent. Exactly one of concurrency and rate, at least one of duration and count.

    Attributes:
        concurrency: Clients of the closed loop.
        rate_per_s: Arrivals per second of the open loop.
        arrivals: Their spacing: all alike, or exponential, as of many independent clients.
        duration_s: No request is sent later; those on their way are waited for.
        request_count: No more requests are sent.
        timeout_s: How long an answer may take.
        seed: Of the exponential spacing.
    """

    concurrency: int | None = None
    rate_per_s: float | None = None
    arrivals: Arrivals = "constant"
    duration_s: float | None = None
    request_count: int | None = None
    timeout_s: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.rate_per_s is None):
            raise ValueError("name either concurrency or rate_per_s")
        if self.duration_s is None and self.request_count is None:
            raise ValueError("name duration_s or request_count")
        limits = (self.concurrency, self.rate_per_s, self.duration_s, self.request_count, self.timeout_s)
        if any(limit is not None and limit <= 0 for limit in limits):
            raise ValueError("limits and rates are above 0")


@dataclass(frozen=True)
class LoadResult:
    """What a load showed. Times are seconds; `started` and `finished` are Unix times of first arrival and last answer.

    Attributes:
        latencies_s: Of the requests answered with 200, in the order of their arrival: from when the request was due,
            which is when it was sent in the closed loop, to the last byte of the answer.
        service_times_s: Of the same requests, from when each was really sent.
        errors: How many others there were, by kind.
        started: When the first request was due.
        finished: When the last answer, or failure, was there.
        images_per_request: Images that one request asks about.
        repeated_bodies: Requests whose body had been sent before.
        generator_cpu_s: Processor time of the load generator itself, on the same machine.
        sample_answer: Body of the first answer with 200, "" if there is none.
        error_times_s: Of the requests counted in `errors`, by kind: from when each was really sent to its answer.
    """

    latencies_s: list[float]
    service_times_s: list[float]
    errors: dict[str, int]
    started: float
    finished: float
    images_per_request: int
    repeated_bodies: int
    generator_cpu_s: float
    sample_answer: str
    error_times_s: dict[str, list[float]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests sent."""
        return len(self.latencies_s) + self.failed

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return sum(self.errors.values())

    @property
    def seconds(self) -> float:
        """From the first arrival to the last answer."""
        return self.finished - self.started

    @property
    def images_per_s(self) -> float:
        """Images in answers with 200, over all the time."""
        return len(self.latencies_s) * self.images_per_request / self.seconds if self.seconds > 0 else 0.0

    @property
    def requests_per_s(self) -> float:
        """Answers with 200, over all the time."""
        return self.images_per_s / self.images_per_request

    def percentile_s(self, percent: float) -> float:
        """Latency that this share of the answers stayed within (linear between neighbours); NaN without answers."""
        return float(np.percentile(self._sorted, percent)) if self.latencies_s else float("nan")

    @property
    def p50_s(self) -> float:
        """Median latency."""
        return self.percentile_s(50)

    @property
    def p90_s(self) -> float:
        """90th percentile of the latency."""
        return self.percentile_s(90)

    @property
    def p95_s(self) -> float:
        """95th percentile of the latency."""
        return self.percentile_s(95)

    @property
    def p99_s(self) -> float:
        """99th percentile of the latency."""
        return self.percentile_s(99)

    @cached_property
    def _sorted(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return np.sort(np.asarray(self.latencies_s))


def run_load(
    url: str,
    requests: HttpRequests,
    *,
    concurrency: int | None = None,
    rate_per_s: float | None = None,
    arrivals: Arrivals = "constant",
    duration_s: float | None = None,
    request_count: int | None = None,
    timeout_s: float = 60.0,
    seed: int = 0,
) -> LoadResult:
    """Sends requests to a server and waits for all answers. See `LoadPlan` for the arguments.

    Args:
        url: Base URL of the server.
        requests: What is sent.
        concurrency: See `LoadPlan`, as for all that follow.
        rate_per_s: Likewise.
        arrivals: Likewise.
        duration_s: Likewise.
        request_count: Likewise.
        timeout_s: Likewise.
        seed: Likewise.

    Raises:
        ValueError: The arguments contradict each other.
        LoadError: The generator failed, which says nothing about the server.
    """
    plan = LoadPlan(concurrency, rate_per_s, arrivals, duration_s, request_count, timeout_s, seed)
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no HTTP URL")
    with tempfile.TemporaryDirectory(prefix="deepfake-load-") as scratch:
        task, result = Path(scratch) / "task.json", Path(scratch) / "result.json"
        task.write_text(json.dumps({"url": url, "requests": requests.to_json(), "plan": asdict(plan)}), "utf-8")
        _run_driver([sys.executable, "-m", "benchmark.locust_driver", str(task), str(result)], _longest_s(plan))
        raw = json.loads(result.read_text("utf-8"))
    return _to_result(raw, requests)


def _longest_s(plan: LoadPlan) -> float | None:
    """How long the driver may take; None where only a count bounds it."""
    return None if plan.duration_s is None else plan.duration_s + plan.timeout_s + _START_S


def _run_driver(command: list[str], timeout_s: float | None) -> None:
    # Locust reads options of its own from the environment.
    env = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"the load generator did not end within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise LoadError(f"the load generator ended with code {done.returncode}:\n{done.stderr[-2000:]}")


def _to_result(raw: dict[str, Any], requests: HttpRequests) -> LoadResult:
    records = sorted(raw["records"])  # due, sent, done, error
    if not records:
        raise LoadError("the load generator sent no request")
    answered = [(due, sent, done) for due, sent, done, error in records if not error]
    error_times: dict[str, list[float]] = {}
    for _due, sent, done, error in records:
        if error:
            error_times.setdefault(error, []).append(done - sent)
    return LoadResult(
        latencies_s=[done - due for due, _sent, done in answered],
        service_times_s=[done - sent for _due, sent, done in answered],
        errors={kind: len(times) for kind, times in error_times.items()},
        started=raw["unix_offset"] + records[0][0],
        finished=raw["unix_offset"] + max(done for _due, _sent, done, _error in records),
        images_per_request=requests.images,
        repeated_bodies=max(len(records) - len(requests), 0),
        generator_cpu_s=raw["cpu_s"],
        sample_answer=raw["sample_answer"],
        error_times_s=error_times,
    )
