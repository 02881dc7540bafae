"""What a route with a body does before its handler: checks type and size, reads in bounded time, takes a slot."""

import errno
from collections.abc import Callable

from flask import Blueprint, g, request
from gunicorn.http.errors import ParseException

from gateway.errors import MalformedRequestError, UnsupportedContentError
from gateway.request_context import current_client, request_deadline, services
from gateway.scoring.admission import overloaded
from gateway.settings import GatewaySettings
from gateway.unread_bodies import body_was_read

_MAX_FORM_PARTS = 16
"""A form has four. Each file part takes up to 500 KB of memory, or a file descriptor."""


def guard(
    blueprint: Blueprint,
    content_type: str,
    max_body_bytes: Callable[[GatewaySettings], int],
    read_body: Callable[[], object],
) -> None:
    """Puts all routes of a blueprint under the limits on requests in flight, on clients and on the body.

    Args:
        blueprint: Its routes take requests with a body.
        content_type: The one MIME type its routes take.
        max_body_bytes: Picks the limit from the settings. A larger body is refused with 413 when it is read.
        read_body: Reads the current request's body so that handlers find it read.
    """

    def before() -> None:
        # A preflight or a wrong method has no body to guard.
        if request.method != "POST":
            return
        shared = services()
        client = current_client()
        shared.client_limits.enter(client)
        g.counted_client = client
        shared.admission.refuse_if_full()
        request.max_content_length = max_body_bytes(shared.settings)
        request.max_form_parts = _MAX_FORM_PARTS
        if request.mimetype != content_type:
            raise UnsupportedContentError(f"Send the body as Content-Type: {content_type}.", "WRONG_CONTENT_TYPE")
        if content_type == "multipart/form-data" and not request.mimetype_params.get("boundary"):
            raise MalformedRequestError(
                "file: Content-Type has no boundary, so no file can be found; let the HTTP library set this header.",
                "NO_FILE",
            )
        with shared.readers.reading(request.environ, request_deadline()):
            try:
                read_body()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise overloaded("There is no room for more uploads.", shared.settings.retry_after_s) from error
            except ParseException as error:
                raise MalformedRequestError(
                    "The body does not end or is not divided as its headers say.", "MALFORMED_REQUEST"
                ) from error
        body_was_read()
        # Not before the body is here: connections that only send headers would hold the slots.
        shared.admission.enter()
        g.admitted = True
        g.watched = shared.disconnects.watch(request.environ, request_deadline())

    def after(_error: BaseException | None) -> None:
        services().disconnects.forget(g.pop("watched", None))
        if g.pop("admitted", False):
            services().admission.leave()
        if client := g.pop("counted_client", None):
            services().client_limits.leave(client)

    blueprint.before_request(before)
    blueprint.teardown_request(after)
