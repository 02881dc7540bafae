"""Measures parts one after the other; each one's figures are on the disk before the next begins."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from benchmark.bench import Bench, LeftOutError
from benchmark.machine import this_machine
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

    def put(name: str, status: str, reason: str, took_s: float, figures: Any = None) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        results.put(name, PartRecord(status, reason, round(took_s, 1), now, command, machine, figures))

    failed = []
    with bench_of(options, lambda line: say(f"  {line}")) as bench:
        for part in (part for part in PARTS.values() if part.name in names):
            say(f"{part.name}: {part.title}")
            started = time.monotonic()
            status, reason, figures = _measured(part, bench)
            took_s = time.monotonic() - started
            put(part.name, status, reason, took_s, figures)
            if status == FAILED:
                failed.append(part.name)
            say(f"{part.name}: {status} in {took_s:.0f} s" + (f": {reason}" if reason else ""))
            for name, outcome in bench.exports.items():
                put(f"export {name}", FAILED if outcome.refusal else MEASURED, outcome.refusal, outcome.took_s)
    return failed


def _measured(part: Part, bench: Bench) -> tuple[str, str, Any]:
    """Status, reason and figures of one part, whatever becomes of it: the others go on."""
    try:
        return MEASURED, "", part.measure(bench)
    except LeftOutError as error:
        return LEFT_OUT, str(error), None
    except Exception as error:
        return FAILED, f"{type(error).__name__}: {error}", None


def read_figures(records: dict[str, PartRecord]) -> dict[str, Any]:
    """The measured parts' dataclasses by name, without what another version of this program measured."""
    figures = {}
    for name, record in records.items():
        if name in PARTS and record.status == MEASURED:
            with contextlib.suppress(ValidationError):
                figures[name] = PARTS[name].read(record.figures)
    return figures
