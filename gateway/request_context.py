"""What each request has: an id, a start, and a deadline that its client can end by going away."""

import re
import time
import uuid
from collections.abc import Callable

from flask import Flask, Response, g, request

from deepfake_client.scorer import Deadline

REQUEST_ID_HEADER = "X-Request-ID"
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestDeadline(Deadline):
    """A deadline that also passes when the client has gone: no inference is spent on an answer that nobody takes."""

    def __init__(self, timeout_s: float, client_has_gone: Callable[[], bool]) -> None:
        """Starts the clock.

        Args:
            timeout_s: Seconds from now.
            client_has_gone: Asked at each look at the deadline.
        """
        super().__init__(timeout_s)
        self._client_has_gone = client_has_gone

    def remaining_s(self) -> float:
        """See `Deadline.remaining_s`."""
        if self._client_has_gone():
            self.cancel()
        return super().remaining_s()


def install(app: Flask, deadline_s: float) -> None:
    """Gives each request an id, which is echoed, a start, and a deadline `deadline_s` seconds after it."""

    @app.before_request
    def begin() -> None:
        g.started_at = time.monotonic()
        # waitress knows whether the client is still there; another server may not.
        g.deadline = RequestDeadline(deadline_s, request.environ.get("waitress.client_disconnected", lambda: False))

    @app.after_request
    def echo_request_id(response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = current_request_id()
        return response


def current_request_id() -> str:
    """The caller's X-Request-ID if it is short and plain, else an id made for this request."""
    if "request_id" not in g:
        sent = request.headers.get(REQUEST_ID_HEADER, "")
        g.request_id = sent if _ACCEPTED_ID.fullmatch(sent) else uuid.uuid4().hex
    request_id: str = g.request_id
    return request_id


def request_deadline() -> Deadline:
    """The deadline of the current request."""
    deadline: Deadline = g.deadline
    return deadline


def elapsed_s() -> float:
    """Wall time since the request began, in seconds."""
    started_at: float = g.started_at
    return time.monotonic() - started_at
