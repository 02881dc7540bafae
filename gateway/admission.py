"""Bounds the detections that one worker process works on at a time, so that queues stay short."""

import threading

from gateway.errors import OverloadedRequestError


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
            raise OverloadedRequestError(
                f"Too many requests are being worked on. Send it again in {self._retry_after_s} s.",
                "OVERLOADED",
                retry_after_s=self._retry_after_s,
            )

    def leave(self) -> None:
        """Gives the slot back."""
        self._slots.release()
