"""What is let in: how many detections and how many videos at a time, and bodies of which type and size."""

import contextlib
import time
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore

from flask import Blueprint, g, request

from deepfake_client.scorer import Deadline
from gateway.errors import ApiError, overloaded
from gateway.settings import GatewaySettings

_MAX_FORM_PARTS = 16
"""A form has four. Each file part takes up to 500 KB of memory, or a file descriptor."""

_LOOK_S = 0.25
"""How often a video that waits for its turn looks whether it is still wanted."""


def guard(
    blueprint: Blueprint,
    settings: GatewaySettings,
    slots: BoundedSemaphore,
    content_type: str,
    max_body_bytes: int,
    read_body: Callable[[], object],
) -> None:
    """Puts all routes of a blueprint under the limits on requests in flight and on the body.

    Args:
        blueprint: Its routes take requests with a body.
        settings: The gateway's.
        slots: One for each detection that is worked on at a time; requests beyond them are refused at once.
        content_type: The one MIME type its routes take.
        max_body_bytes: A larger body is refused with 413.
        read_body: Reads the current request's body so that handlers find it read.
    """

    def before() -> None:
        # A preflight or a wrong method has no body to guard.
        if request.method != "POST":
            return
        if not slots.acquire(blocking=False):
            raise overloaded("Too many requests are being worked on.", settings.retry_after_s)
        g.admitted = True
        if request.mimetype != content_type:
            raise ApiError("WRONG_CONTENT_TYPE", f"Send the body as Content-Type: {content_type}.")
        if content_type == "multipart/form-data" and not request.mimetype_params.get("boundary"):
            raise ApiError(
                "NO_FILE",
                "file: Content-Type has no boundary, so no file can be found; let the HTTP library set this header.",
            )
        request.max_content_length = max_body_bytes
        request.max_form_parts = _MAX_FORM_PARTS
        read_body()

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
