"""SIGINT and SIGTERM end a run at the next safe place: between two files, or after a step whose state is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.errors import StoppedError


class StopRequest:
    """Remembers that someone asked to stop."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.signal_number = 0

    def ask(self, signal_number: int = signal.SIGTERM) -> None:
        """Asks to stop."""
        self.signal_number = int(signal_number)

    def check(self) -> None:
        """Ends the work where nothing needs saving.

        Raises:
            StoppedError: Someone asked.
        """
        if self.signal_number:
            raise StoppedError("stopped before the training began; run it again to go on", self.signal_number)


@contextmanager
def stops_on_signals(stop: StopRequest) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks, the second one ends the program as usual."""

    def handler(number: int, _frame: FrameType | None) -> None:
        stop.ask(number)
        signal.signal(number, former[signal.Signals(number)])

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in former.items():
            signal.signal(number, previous)
