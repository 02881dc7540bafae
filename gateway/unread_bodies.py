"""Bodies that nobody has read by the time their requests are answered, mostly because those were refused.

What is left of a body is read after the answer, or a client that is still sending would lose the answer with its
connection. Gunicorn does that in the request's thread for up to 5 s, so a few clients that announce a body and send
nothing could take all threads, without a key and whatever they are answered. It is done here instead, before gunicorn
comes to it: in a few threads, for a shorter time. When these wait already, what has not come yet is cut off.
"""

import contextlib
import socket
from typing import Any

from flask import Flask, Response, g, request

from client.scorer import Deadline
from gateway.body_readers import BodyReaders
from gateway.errors import OverloadedRequestError

_DISCARD_S = 2.0
_PIECE_BYTES = 2**16


def body_was_read() -> None:
    """The current request's body has been read to its end."""
    g.body_was_read = True


def discard_unread_bodies(app: Flask, threads: int) -> None:
    """Sees to it that no unread body holds one of an application's threads for long.

    Args:
        app: The application.
        threads: How many may wait for such bodies at a time.
    """
    # With a grace as long as the limit none makes way for another: those over are not waited for.
    discards = BodyReaders(threads, retry_after_s=1, grace_s=_DISCARD_S)

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
            _read_to_the_end(environ)
    except OverloadedRequestError:
        _discard_at_once(environ)
    except Exception:  # whatever is wrong with the body: the request has had its answer
        _cut_off(environ)


def _discard_at_once(environ: dict[str, Any]) -> None:
    """Most bodies are here by now. Otherwise gunicorn's count of what is left is wrong, and the connection ends."""
    connection = environ.get("gunicorn.socket")
    try:
        if isinstance(connection, socket.socket):
            connection.settimeout(0)
        _read_to_the_end(environ)
    except Exception:  # there is nothing more to read now
        _cut_off(environ)
    finally:
        if isinstance(connection, socket.socket):
            connection.settimeout(None)


def _read_to_the_end(environ: dict[str, Any]) -> None:
    while environ["wsgi.input"].read(_PIECE_BYTES):
        pass


def _cut_off(environ: dict[str, Any]) -> None:
    connection = environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RD)
