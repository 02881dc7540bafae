"""Bodies that nobody has read by the time their requests are answered, mostly because those were refused.

What is left of a body is read after the answer, or a client that is still sending would lose the answer with its
connection. Gunicorn does that in the request's thread for up to 5 s, so a few clients that announce a body and send
nothing could take all threads, without a key and whatever they are answered. It is done here instead, before gunicorn
comes to it: in a few threads, for a shorter time, and what is over is cut off.
"""

import contextlib
import socket
from typing import Any

from flask import Flask, Response, g, request

from client.scorer import Deadline
from gateway.body_readers import BodyReaders

_DISCARD_S = 2.0
_GRACE_S = 0.2
_PIECE_BYTES = 2**16


def body_was_read() -> None:
    """The current request's body has been read to its end."""
    g.body_was_read = True


def discard_unread_bodies(app: Flask, threads: int) -> None:
    """Sees to it that no unread body holds one of an application's threads for long.

    Args:
        app: The application.
        threads: How many may read such bodies at a time; when all do, the longest makes way, or the newest is cut off.
    """
    discards = BodyReaders(threads, retry_after_s=1, grace_s=_GRACE_S)

    @app.after_request
    def discard_later(response: Response) -> Response:
        announced = request.content_length or "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        if announced and "body_was_read" not in g:
            environ = request.environ
            if response.direct_passthrough:  # a file, which is not closed by way of the response
                _cut_off(environ)
            else:
                response.call_on_close(lambda: _discard(environ, discards))
        return response


def _discard(environ: dict[str, Any], discards: BodyReaders) -> None:
    """Called when the answer has been sent."""
    try:
        with discards.reading(environ, Deadline(_DISCARD_S)):
            while environ["wsgi.input"].read(_PIECE_BYTES):
                pass
    except Exception:  # whatever is wrong with the body: the request has had its answer
        _cut_off(environ)


def _cut_off(environ: dict[str, Any]) -> None:
    connection = environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RD)
