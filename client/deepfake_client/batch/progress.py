"""Shows how far a run is, on standard error: a bar on a terminal, otherwise a line every ten seconds."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar("T")

_LINE_INTERVAL_S = 10.0


def with_progress(items: Iterable[T], total: int, doing: str = "detecting") -> Iterator[T]:
    """Passes the items on and shows how many there were."""
    return _with_bar(items, total, doing) if sys.stderr.isatty() else _with_lines(items, total)


def _with_bar(items: Iterable[T], total: int, doing: str) -> Iterator[T]:
    """Shows a bar with number, rate and time left."""
    columns = (TextColumn(f"{doing:9}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(compact=True))
    # Rows that are written to standard output meanwhile must go there, so rich may not redirect it.
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        speed_estimate_period=60,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield from progress.track(items, total=total)


def _with_lines(items: Iterable[T], total: int) -> Iterator[T]:
    """Prints a line every ten seconds, so that logs stay readable and short runs quiet."""
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= _LINE_INTERVAL_S:
            last = now
            rate = done / (now - started)
            left_s = (total - done) / rate
            line = f"{done} of {total} files, {rate:.1f} files/s, {_duration(left_s)} left"
            with contextlib.suppress(OSError):  # a log that cannot be written ends no run
                print(line, file=sys.stderr, flush=True)


class _Rate(ProgressColumn):
    """Files a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} files/s" if speed else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
