"""One question asked again and again by several threads, and every outcome kept."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

_LOOK_S = 0.05


@dataclass(frozen=True)
class Outcome:
    """One request.

    Attributes:
        at_s: When it ended, by the monotonic clock.
        took_s: How long it took, retries included.
        score: The fake probability, None if it failed.
        error: Why it failed, or "".
    """

    at_s: float
    took_s: float
    score: float | None
    error: str = ""


class ScoreLoad:
    """A closed loop of requests. A context manager: it begins and ends with the context."""

    def __init__(self, ask: Callable[[], float], threads: int) -> None:
        """Asks nothing yet.

        Args:
            ask: Sends one request and returns the score; raises where there is none. Called from every thread.
            threads: Requests at a time.
        """
        self.outcomes: list[Outcome] = []
        self._ask = ask
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

    def await_more(self, count: int, limit_s: float) -> None:
        """Returns once so many more requests have ended, or the time is over."""
        wanted, deadline = len(self.outcomes) + count, time.monotonic() + limit_s
        while len(self.outcomes) < wanted and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def longest_gap_s(self, since: float) -> float:
        """The longest time without a success, from a second before `since` on."""
        times = sorted(one.at_s for one in self.outcomes if one.score is not None and one.at_s > since - 1)
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                score, error = self._ask(), ""
            except Exception as failure:  # whatever it is, it is an outcome
                score, error = None, f"{type(failure).__name__}: {failure}"
            now = time.monotonic()
            self.outcomes.append(Outcome(now, now - began, score, error))
            if error:
                self._stop.wait(_LOOK_S)
