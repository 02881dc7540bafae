"""Measures parts one after the other; each one's figures are on the disk before the next begins."""

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmark.bench import Bench, LeftOutError
from benchmark.machine import Machine, this_machine
from benchmark.options import RunOptions
from benchmark.parts.catalogue import PARTS, Part
from benchmark.results import PartRecord, ResultsFile

MEASURED, FAILED, LEFT_OUT = "measured", "failed", "left out"


def say(line: str) -> None:
    """Shows one line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def run_parts(
    options: RunOptions,
    names: Sequence[str],
    results: ResultsFile,
    bench_of: Callable[[RunOptions, Callable[[str], None]], Bench] = Bench,
) -> list[str]:
    """Measures the named parts and adds them to the results, which keep all others.

    Args:
        options: What is measured, and how long.
        names: Parts, see `PARTS`; measured in the order of that table.
        results: The file.
        bench_of: Makes the bench.

    Returns:
        The parts that failed.

    Raises:
        ResultsError: The file there is none of ours.
    """
    results.read()  # before an hour's work, not after it
    machine, command = this_machine(), shlex.join(["deepfake-bench", *sys.argv[1:]])
    failed = []
    with bench_of(options, lambda line: say(f"  {line}")) as bench:
        for part in (part for part in PARTS.values() if part.name in names):
            say(f"{part.name}: {part.title}")
            record = _measured(part, bench, machine, command)
            results.put(part.name, record)
            if record.status == FAILED:
                failed.append(part.name)
            say(
                f"{part.name}: {record.status} in {record.took_s:.0f} s"
                + (f": {record.reason}" if record.reason else "")
            )
    return failed


def _measured(part: Part, bench: Bench, machine: Machine, command: str) -> PartRecord:
    """One part's record, whatever becomes of it: the others go on."""
    started = time.monotonic()
    status, reason, figures = MEASURED, "", None
    try:
        figures = part.measure(bench)
    except LeftOutError as error:
        status, reason = LEFT_OUT, str(error)
    except Exception as error:
        status, reason = FAILED, f"{type(error).__name__}: {error}"
    return PartRecord(
        status=status,
        reason=reason,
        took_s=round(time.monotonic() - started, 1),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        machine=machine,
        figures=figures,
    )


def read_figures(records: dict[str, PartRecord]) -> dict[str, Any]:
    """The measured parts' dataclasses by name; parts that this version does not know are passed over."""
    return {
        name: PARTS[name].read(record.figures)
        for name, record in records.items()
        if name in PARTS and record.status == MEASURED
    }
