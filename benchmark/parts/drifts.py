"""How far each precision's probabilities are from PyTorch's, over the whole path: beside every speed."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.bench import Bench

_QUICK_IMAGES = 9


@dataclass(frozen=True)
class PrecisionDrift:
    """One precision; see `benchmark.drift_report.DriftReport`."""

    precision: str
    images: int
    faces: int
    max_dp: float
    mean_dp: float
    p95_dp: float
    max_dlogit: float
    flipped: int
    std_p: float
    largest_batch_dp: float


@dataclass(frozen=True)
class Drifts:
    """The part's figures."""

    precisions: list[PrecisionDrift]


def measure(bench: Bench) -> Drifts:
    """Runs `deepfake-bench drift` over its whole list for every precision.

    Raises:
        RuntimeError: It failed.
    """
    found = []
    remote = bench.options.remote
    for precision in [bench.detail] if remote else bench.precisions:
        where = ["--url", remote.grpc] if remote else ["--release", str(bench.release(precision))]
        found.append(_drift(bench, precision, where))
        bench.say(f"{precision}: largest |dp| {found[-1].max_dp:.2g}, {found[-1].flipped} decisions flipped")
    return Drifts(found)


def _drift(bench: Bench, precision: str, where: list[str]) -> PrecisionDrift:
    count = ["--count", str(_QUICK_IMAGES)] if bench.options.quick else []
    with TemporaryDirectory(prefix="deepfake-bench-drift-") as scratch:
        output = Path(scratch) / "drift.json"
        command = [
            sys.executable, "-m", "benchmark.drift", *where, "--checkpoint", str(bench.checkpoint), *count,
            "--output", str(output),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"drift of {precision} ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
        values = json.loads(output.read_text("utf-8"))
    variance = values["batch_variance"] or {}
    same = {name: values[name] for name in PrecisionDrift.__dataclass_fields__ if name in values}
    return PrecisionDrift(**{**same, "precision": precision, "largest_batch_dp": max(variance.values(), default=0.0)})
