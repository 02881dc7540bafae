"""One question asked again and again by several threads, and every outcome kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.closed_loop import ClosedLoop, longest_gap_s

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


class ScoreLoad(ClosedLoop):
    """A closed loop of requests. A context manager: it begins and ends with the context."""

    def __init__(self, ask: Callable[[], float], threads: int) -> None:
        """Asks nothing yet.

        Args:
            ask: Sends one request and returns the score; raises where there is none. Called from every thread.
            threads: Requests at a time.
        """
        super().__init__(threads)
        self.outcomes: list[Outcome] = []
        self._ask = ask

    def await_more(self, count: int, limit_s: float) -> None:
        """Returns once so many more requests have ended, or the time is over."""
        wanted, deadline = len(self.outcomes) + count, time.monotonic() + limit_s
        while len(self.outcomes) < wanted and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def longest_gap_s(self, since: float) -> float:
        """The longest time without a success, from a second before `since` on."""
        return longest_gap_s((one.at_s for one in list(self.outcomes) if one.score is not None), since)

    def _ask_once(self) -> None:
        began = time.monotonic()
        try:
            score, error = self._ask(), ""
        except Exception as failure:  # whatever it is, it is an outcome
            score, error = None, f"{type(failure).__name__}: {failure}"
        now = time.monotonic()
        self.outcomes.append(Outcome(now, now - began, score, error))
        if error:
            self._stop.wait(_LOOK_S)
