"""What a route with a body does before its handler: takes a slot, checks type and size, reads the body."""

import errno
from collections.abc import Callable
from threading import BoundedSemaphore

from flask import Blueprint, g, request

from gateway.errors import ApiError, overloaded
from gateway.settings import GatewaySettings

_MAX_FORM_PARTS = 16
"""A form has four. Each file part takes up to 500 KB of memory, or a file descriptor."""


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
        try:
            read_body()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise overloaded("There is no room for more uploads.", settings.retry_after_s) from error

    def after(_error: BaseException | None) -> None:
        if g.pop("admitted", False):
            slots.release()

    blueprint.before_request(before)
    blueprint.teardown_request(after)
