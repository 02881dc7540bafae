"""What a route with a body does before its handler: takes a slot, checks type and size, reads in bounded time."""

from collections.abc import Callable

from flask import Blueprint, g, request

from gateway.body_deadline import body_deadline
from gateway.errors import UnsupportedContentError
from gateway.request_context import request_deadline, services
from gateway.settings import GatewaySettings


def guard(
    blueprint: Blueprint,
    content_type: str,
    max_body_bytes: Callable[[GatewaySettings], int],
    read_body: Callable[[], object],
) -> None:
    """Puts all routes of a blueprint under the in-flight limit and limits on the body.

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
        services().admission.enter()
        g.admitted = True
        request.max_content_length = max_body_bytes(services().settings)
        if request.mimetype != content_type:
            raise UnsupportedContentError(f"Send the body as Content-Type: {content_type}.", "WRONG_CONTENT_TYPE")
        with body_deadline(request.environ, request_deadline()):
            read_body()

    def after(_error: BaseException | None) -> None:
        if g.pop("admitted", False):
            services().admission.leave()

    blueprint.before_request(before)
    blueprint.teardown_request(after)
