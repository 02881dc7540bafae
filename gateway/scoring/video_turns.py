"""Bounds the videos that are worked on at a time: their decoders and frames take the most memory."""

import contextlib
import threading
import time
from collections.abc import Iterator

from deepfake_client.scorer import Deadline

from gateway.errors import overloaded

_LOOK_S = 0.25
"""How often a video that waits for its turn looks whether it is still wanted."""


class VideoTurns:
    """Bounds the videos that are decoded, and whose frames are held, at a time. Thread-safe.

    A video that comes too early waits rather than being refused: it has been uploaded already, and a turn takes
    seconds. It waits half of its remaining time at most, so that enough is left to score it. As many may wait as are
    worked on, so that videos that wait do not hold all slots for detections.
    """

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self._present = threading.BoundedSemaphore(2 * limit)
        self._working = threading.BoundedSemaphore(limit)
        self._retry_after_s = retry_after_s

    @contextlib.contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Waits for a turn and holds it.

        Raises:
            ApiError: Too many wait already, or none came free in time.
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
