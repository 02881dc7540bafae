"""What is let in: how many detections and how many videos at a time, and no compressed bodies."""

import contextlib
import time
from collections.abc import Iterator
from threading import BoundedSemaphore

from flask import Blueprint, g, request

from deepfake_client.scorer import Deadline
from gateway.errors import ApiError, overloaded
from gateway.settings import GatewaySettings

_LOOK_S = 0.25
"""How often a video that waits for its turn looks whether it is still wanted."""


def guard(blueprint: Blueprint, settings: GatewaySettings, slots: BoundedSemaphore) -> None:
    """Puts all routes of a blueprint under the limit on requests in flight.

    Args:
        blueprint: Its routes take requests with a body.
        settings: The gateway's.
        slots: One for each detection that is worked on at a time; requests beyond them are refused at once.
    """

    def before() -> None:
        # A preflight or a wrong method has no body to guard.
        if request.method != "POST":
            return
        if not slots.acquire(blocking=False):
            raise overloaded("Too many requests are being worked on.", settings.retry_after_s)
        g.admitted = True
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":  # a small one could unpack to any size
            raise ApiError(
                "WRONG_CONTENT_TYPE", f"Content-Encoding: {encoding[:40]} is not taken; send the plain body."
            )

    def after(_error: BaseException | None) -> None:
        if g.pop("admitted", False):
            slots.release()

    blueprint.before_request(before)
    blueprint.teardown_request(after)


class VideoTurns:
    """Bounds the videos that are decoded, and whose frames are held, at a time. Thread-safe.

    A video that comes too early waits rather than being refused: it has been uploaded already, and a turn takes
    seconds. It waits half of its remaining time at most, so that enough is left to score it. As many may wait as are
    worked on, so that videos that wait do not hold all slots for detections.
    """

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self._present = BoundedSemaphore(2 * limit)
        self._working = BoundedSemaphore(limit)
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
