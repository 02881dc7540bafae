"""Requests in a loop against a running service, while something is done to it."""

import time
from dataclasses import dataclass

import requests

from tests.closed_loop import ClosedLoop, longest_gap_s

RECOVERY_BOUND_S = 60.0  # generous: some seconds are expected, docs/performance.md has the measured ones
_TIMEOUT_S = 40.0


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes:
        at_s: When, by the monotonic clock.
        status: Of HTTP; 0 where the connection broke.
        score: The fake probability, None unless the status is 200.
        release_id: Which release gave it, "" likewise.
        took_s: From sending to the answer.
    """

    at_s: float
    status: int
    score: float | None = None
    release_id: str = ""
    took_s: float = 0.0


class SteadyLoad(ClosedLoop):
    """One image sent to POST /detect again and again by several threads; every answer is kept."""

    def __init__(self, url: str, image: bytes, threads: int = 3, pause_s: float = 0.0) -> None:
        """Sends nothing yet.

        Args:
            url: Base URL of the gateway.
            image: An encoded image.
            threads: Requests at a time.
            pause_s: Of each thread after an answer.
        """
        super().__init__(threads)
        self._pause_s = pause_s
        self.answers: list[Answered] = []
        self._url = url
        self._image = image

    def await_success(self, count: int, after: float) -> float:
        """Waits for `count` successes in a row.

        Args:
            count: How many.
            after: Answers up to this time, by the monotonic clock, do not count.

        Returns:
            When the first of them came, in seconds after `after`.

        Raises:
            TimeoutError: They do not come.
        """
        deadline = time.monotonic() + RECOVERY_BOUND_S
        while time.monotonic() < deadline:
            last = [answer for answer in list(self.answers) if answer.at_s > after][-count:]
            if len(last) == count and all(answer.status == 200 for answer in last):
                return last[0].at_s - after
            time.sleep(0.05)
        raise TimeoutError(f"not back after {RECOVERY_BOUND_S:g} s: {self.answers[-10:]}")

    def longest_gap_s(self, since: float) -> float:
        """The longest time without a success, from a second before `since` on."""
        return longest_gap_s((answer.at_s for answer in list(self.answers) if answer.status == 200), since)

    def failures(self, since: float) -> list[Answered]:
        """The answers after `since` that were no success."""
        return [answer for answer in self.answers if answer.at_s > since and answer.status != 200]

    def _ask_once(self) -> None:
        began = time.monotonic()
        try:
            answer = requests.post(f"{self._url}/detect", files={"file": self._image}, timeout=_TIMEOUT_S)
        except requests.RequestException:
            self.answers.append(Answered(time.monotonic(), 0))  # the worker that held this connection is gone
            time.sleep(0.05)
            return
        now = time.monotonic()
        if answer.status_code == 200:
            body = answer.json()
            release_id = body["metadata"]["model"]["release_id"]
            self.answers.append(Answered(now, 200, body["confidence_score"], release_id, now - began))
            self._stop.wait(self._pause_s)
        else:
            self.answers.append(Answered(now, answer.status_code))
            time.sleep(0.02)
