"""Bounds the detections that one worker process works on at a time, so that queues stay short and memory small."""

import contextlib
import threading
import time
from collections.abc import Iterator

from deepfake_client.scorer import Deadline

from gateway.errors import OverloadedRequestError

_LOOK_S = 0.25
"""How often a video that waits for its turn looks whether it is still wanted."""


class Admission:
    """Counts requests in flight and refuses those beyond a limit at once. Thread-safe."""

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self._slots = threading.BoundedSemaphore(limit)
        self._retry_after_s = retry_after_s

    def enter(self) -> None:
        """Takes a slot.

        Raises:
            OverloadedRequestError: All are taken.
        """
        if not self._slots.acquire(blocking=False):
            raise overloaded("Too many requests are being worked on.", self._retry_after_s)

    def leave(self) -> None:
        """Gives the slot back."""
        self._slots.release()

    def refuse_if_full(self) -> None:
        """Spares a caller the upload of a body that would be refused after it.

        Raises:
            OverloadedRequestError: All slots are taken now.
        """
        self.enter()
        self.leave()


class VideoTurns:
    """Bounds the videos that are decoded, and whose frames are held, at a time. Thread-safe.

    A video that comes too early waits rather than being refused, for its upload is the dearest part and a turn takes
    seconds. It waits half of its remaining time at most, so that enough is left to score it, and there are no more
    waiting than being worked on, so that the slots of `Admission` are not all held by videos that wait.
    """

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self._present = threading.BoundedSemaphore(2 * limit)
        self._working = threading.BoundedSemaphore(limit)
        self._retry_after_s = retry_after_s

    @contextlib.contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Waits for a turn and holds it.

        Raises:
            OverloadedRequestError: Too many wait already, or none came free in time.
            DeadlineExceededError: The deadline has passed.
        """
        if not self._present.acquire(blocking=False):
            raise overloaded("Too many videos are waiting.", self._retry_after_s)
        try:
            give_up = time.monotonic() + deadline.remaining_s() / 2
            while not self._working.acquire(timeout=_LOOK_S):
                deadline.remaining_s()  # its client may have gone
                if time.monotonic() > give_up:
                    raise overloaded("Other videos take too long.", self._retry_after_s)
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._present.release()


def overloaded(reason: str, retry_after_s: int) -> OverloadedRequestError:
    """The one answer to a request that is shed."""
    return OverloadedRequestError(
        f"{reason} Send it again in {retry_after_s} s.", "OVERLOADED", retry_after_s=retry_after_s
    )
