"""From `make serve` with an export in the cache to the first answer, and what that time goes into."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.bench import Bench, LeftOutError
from benchmark.parts.subprocess_json import run_module
from benchmark.spread import Spread

_PROCESSES = {
    "supervisor": "deploy.local",
    "gateway": "gateway.app",
    "preprocess": "preprocessing, preprocessing.faces, mediapipe",
    "classifier": "runtime, {runtime}",
}
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|( *)(\S+)")
_MOST_PACKAGES = 6


@dataclass(frozen=True)
class PackageTime:
    """Self time of all modules of one package."""

    package: str
    ms: float


@dataclass(frozen=True)
class ProcessImports:
    """One process: its imports in all, and the slowest packages."""

    process: str
    total_ms: float
    packages: list[PackageTime]


@dataclass(frozen=True)
class StartTime:
    """The part's figures.

    Attributes:
        server: Which service.
        first_answer_s: From the start of the command to the first answer of /detect, round by round.
        classifier_load_s: Loading and compiling the classifier, in a process of its own.
        imports: By process, with -X importtime, files in the page cache.
    """

    server: str
    first_answer_s: Spread
    classifier_load_s: float
    imports: list[ProcessImports]


def measure(bench: Bench) -> StartTime:
    """Starts the service anew in each round.

    Raises:
        LeftOutError: A running deployment is measured.
    """
    if bench.options.remote:
        raise LeftOutError("a running deployment is measured; its start is not")
    precision = bench.detail
    release = bench.release(precision)
    times = []
    for number in range(bench.options.rounds):
        times.append(_start_s(bench, precision))
        bench.say(f"round {number + 1}: first answer after {times[-1]:.1f} s")
    alone = run_module("benchmark.parts.classifier_alone", str(release), "0.1")
    runtime = "openvino" if (release / "model_repository/classifier/1/runtime.json").exists() else "onnxruntime"
    imports = [import_times(name, what.format(runtime=runtime)) for name, what in _PROCESSES.items()]
    return StartTime(f"ours {precision}", Spread.of(times), alone["load_s"], imports)


def _start_s(bench: Bench, precision: str) -> float:
    with TemporaryDirectory(prefix="deepfake-bench-start-") as logs:
        started = time.perf_counter()
        with bench.serve_ours(precision, Path(logs)):  # answers when the block begins
            return time.perf_counter() - started


def import_times(process: str, modules: str) -> ProcessImports:
    """What a process imports, by package.

    Raises:
        RuntimeError: A module cannot be imported.
    """
    code = f"import {modules}"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{code}: {done.stderr.strip()[-300:]}")
    sums: dict[str, float] = {}
    for own_us, _cumulated, _depth, module in _IMPORT.findall(done.stderr):
        package = module.split(".")[0]
        sums[package] = sums.get(package, 0.0) + int(own_us) / 1e3
    slowest = sorted(sums.items(), key=lambda item: -item[1])[:_MOST_PACKAGES]
    return ProcessImports(process, sum(sums.values()), [PackageTime(*item) for item in slowest])
