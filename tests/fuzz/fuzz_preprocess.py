"""Damaged images through preprocessing.

Each image is decoded, searched for a face, cropped and resized as in Triton, in a process that may be killed. What must
hold: the process neither dies nor hangs, an image is refused with a status or becomes pixels of the right form, and the
intact images before and behind it in the batch give exactly the pixels they give alone. An input is named by its seed
and number, and the same numbers make the same inputs.
"""

import functools
import multiprocessing
import random
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from assets import FACE_MODELS, fetch_assets
from preprocessing import ImageRejectedError, Preparer, PreprocessParams, Status
from tests.fuzz.mutation import Mutator
from tests.hostile import images as hostile_images

_BATCH = 50
_SLOW_S = 5.0
_HANG_S = 30.0


@dataclass
class Report:
    """What came of some inputs.

    Attributes:
        inputs: How many.
        outcomes: How many ended with each status.
        findings: What should not have happened, each with the number of its input.
        slowest_s: Longest time of one input.
        peak_mib: Largest resident memory of a process.
    """

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mib: float = 0.0

    def add(self, other: "Report") -> None:
        """Takes in another one."""
        self.inputs += other.inputs
        self.outcomes += other.outcomes
        self.findings += other.findings
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_mib = max(self.peak_mib, other.peak_mib)


class _Worker:
    """What each process keeps."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")  # Pillow's, about damaged files
        models = fetch_assets(FACE_MODELS)
        (folder,) = {path.parent for path in models.values()}
        self.preparer = Preparer(PreprocessParams(), folder)
        seeds = hostile_images.seeds()
        self.mutator = Mutator.of_media(seeds)
        self.intact = seeds[0]
        self.intact_pixels = self.preparer.prepare(self.intact).pixels

    def batch(self, seed: int, numbers: list[int]) -> Report:
        """Inputs between two intact images."""
        report = Report()
        self._check_intact(report, numbers)
        for number in numbers:
            encoded = self.mutator.mutated(random.Random(f"{seed}/{number}"))
            started = time.perf_counter()
            outcome = self._outcome(encoded)
            elapsed_s = time.perf_counter() - started
            report.inputs += 1
            report.outcomes[outcome] += 1
            report.slowest_s = max(report.slowest_s, elapsed_s)
            if outcome not in Status.__members__ or outcome == Status.INTERNAL.name:
                report.findings.append(f"{number}: {outcome}")
            if elapsed_s > _SLOW_S:
                report.findings.append(f"{number}: took {elapsed_s:.1f} s")
        self._check_intact(report, numbers)
        report.peak_mib = _peak_mib()
        return report

    def _outcome(self, encoded: bytes) -> str:
        try:
            pixels = self.preparer.prepare(encoded).pixels
        except ImageRejectedError as error:
            return error.status.name
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        side = self.preparer.params.resize.size_px
        right = pixels.shape == (side, side, 3) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
        return Status.OK.name if right else f"pixels {pixels.shape} {pixels.dtype}"

    def _check_intact(self, report: Report, numbers: list[int]) -> None:
        if not np.array_equal(self.preparer.prepare(self.intact).pixels, self.intact_pixels):
            report.findings.append(f"{numbers[0]}-{numbers[-1]}: an intact image beside them has other pixels")


_worker: _Worker | None = None


def _batch(seed: int, numbers: list[int]) -> Report:
    global _worker
    _worker = _worker or _Worker()
    return _worker.batch(seed, numbers)


def fuzz(
    inputs: int,
    seed: int,
    processes: int,
    first: int = 0,
    run_batch: Callable[[int, list[int]], Report] = _batch,
    hang_s: float = _HANG_S,
) -> Report:
    """Runs the inputs with the numbers from `first` on.

    Args:
        inputs: How many.
        seed: Another seed makes other inputs.
        processes: How many work at a time.
        first: Number of the first input.
        run_batch: What a process does with some numbers.
        hang_s: How long a process may take for one input, in seconds.
    """
    report = Report()
    numbers = range(first, first + inputs)
    batches = [list(numbers[i : i + _BATCH]) for i in range(0, inputs, _BATCH)]
    with ProcessPool(processes, context=multiprocessing.get_context("spawn")) as pool:
        schedule = functools.partial(_schedule, pool, run_batch, seed, hang_s)
        for batch in _collect(schedule(batches), report):
            # A process was lost: which input it was shows when each runs alone.
            for (number,) in _collect(schedule([[number] for number in batch]), report):
                report.inputs += 1
                report.findings.append(f"{number}: the process died, or did not end in {hang_s:g} s")
    return report


def _schedule(
    pool: ProcessPool,
    run_batch: Callable[[int, list[int]], Report],
    seed: int,
    hang_s: float,
    batches: list[list[int]],
) -> list[tuple[list[int], "ProcessFuture[Report]"]]:
    return [(batch, pool.schedule(run_batch, args=[seed, batch], timeout=hang_s * len(batch))) for batch in batches]


def _collect(scheduled: list[tuple[list[int], "ProcessFuture[Report]"]], report: Report) -> Iterator[list[int]]:
    """Adds what came of the batches, and yields those during which a process was lost."""
    for batch, future in scheduled:
        try:
            report.add(future.result())
        except (FutureTimeoutError, ProcessExpired):
            yield batch


def _peak_mib() -> float:
    # Not ru_maxrss, which begins with the peak of the process that started this one.
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text("utf-8"))
    return int(match[1]) / 1024 if match else 0.0
