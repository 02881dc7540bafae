"""A closed loop of requests: several threads, each of which asks again as soon as it has its answer."""

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self


class ClosedLoop(ABC):
    """A context manager: the loop begins and ends with the context."""

    def __init__(self, threads: int) -> None:
        """Asks nothing yet.

        Args:
            threads: Requests at a time.
        """
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._ask_once()

    @abstractmethod
    def _ask_once(self) -> None:
        """Sends one request and keeps what came of it; never raises. Called from every thread."""


def longest_gap_s(successes_at_s: Iterable[float], since: float) -> float:
    """The longest time without a success, from a second before `since` on.

    Args:
        successes_at_s: When each success was, by the monotonic clock, in any order.
        since: By the same clock.
    """
    times = sorted(at for at in successes_at_s if at > since - 1)
    return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
