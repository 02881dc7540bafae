"""Checks that a route makes before it reads the request's body: a free slot, the Content-Type, the body's size."""

from collections.abc import Callable

from flask import Blueprint, g, request

from gateway.errors import UnsupportedContentError
from gateway.request_context import services
from gateway.settings import GatewaySettings


def guard(blueprint: Blueprint, content_type: str, max_body_bytes: Callable[[GatewaySettings], int]) -> None:
    """Puts all routes of a blueprint under the in-flight limit and a body limit.

    Args:
        blueprint: Its routes take requests with a body.
        content_type: The one MIME type its routes take.
        max_body_bytes: Picks the limit from the settings. A larger body is refused with 413 when it is read.
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

    def after(_error: BaseException | None) -> None:
        if g.pop("admitted", False):
            services().admission.leave()

    blueprint.before_request(before)
    blueprint.teardown_request(after)
