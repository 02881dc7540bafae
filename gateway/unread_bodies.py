"""Bodies that nobody has read by the time their requests are answered, mostly because those were refused.

What is left of a body is read after the answer, or a client that is still sending would lose the answer with its
connection. Gunicorn does that in the request's thread for up to 5 s, so a few clients that announce a body and send
nothing could take all threads, without a key and whatever they are answered. It is done here instead, before gunicorn
comes to it: in a few threads, for a shorter time. When these wait already, what has not come yet is cut off.

Under overload most bodies end here. Those of a known length take no timer, which would be a thread, and no new memory.
"""

import contextlib
import io
import select
import socket
import ssl
import threading
import time
from typing import Any

from deepfake_client.scorer import Deadline
from flask import Flask, Response, g, request
from gunicorn.http.body import LengthReader

from gateway.body_readers import BodyReaders

_DISCARD_S = 2.0
_PIECE_BYTES = 2**16
_of_thread = threading.local()


def body_was_read() -> None:
    """The current request's body has been read to its end."""
    g.body_was_read = True


class UnreadBodies:
    """Sees to it that no unread body holds one of an application's threads for long. Thread-safe."""

    def __init__(self, threads: int) -> None:
        """Reads nothing yet.

        Args:
            threads: How many may wait for such bodies at a time.
        """
        self._waiting = threading.BoundedSemaphore(threads)

    def install(self, app: Flask) -> None:
        """Has every answer of the application followed by what is left of its request's body."""

        @app.after_request
        def discard_later(response: Response) -> Response:
            announced = request.content_length or "chunked" in request.headers.get("Transfer-Encoding", "").lower()
            if announced and "body_was_read" not in g:
                environ = request.environ
                if response.direct_passthrough:  # a file, which is not closed by way of the response
                    _cut_off(environ)
                else:
                    response.call_on_close(lambda: self.discard(environ))
            return response

    def discard(self, environ: dict[str, Any]) -> None:
        """Reads what is left of a request's body, whose answer has been sent."""
        connection, body = environ.get("gunicorn.socket"), environ["wsgi.input"]
        is_of_known_length = isinstance(getattr(body, "reader", None), LengthReader)
        if not isinstance(connection, socket.socket):  # not gunicorn, which alone would wait for the rest
            return
        try:
            if is_of_known_length and _skip(connection, body, 0):
                return
            if self._waiting.acquire(blocking=False):
                try:
                    ended = _skip(connection, body, _DISCARD_S) if is_of_known_length else _read_in_time(environ)
                finally:
                    self._waiting.release()
            else:
                # Most bodies are here by now. Else gunicorn's count of what is left is wrong, and the connection ends.
                ended = not is_of_known_length and _read_what_is_here(connection, body)
        except Exception:  # whatever is wrong with the body: the request has had its answer
            ended = False
        if not ended:
            body.failed = True  # for gunicorn: what comes on this connection is no request
            _cut_off(environ)


def _skip(connection: socket.socket, body: Any, wait_s: float) -> bool:
    """Drops what is left of a body of known length: what gunicorn has read of it, then what comes.

    Args:
        connection: Its socket.
        body: Gunicorn's.
        wait_s: How long to wait for what has not come.

    Returns:
        Whether all of it came, so that the next request may follow.
    """
    body.buf = io.BytesIO()
    reader, unreader = body.reader, body.reader.unreader
    held = unreader.take_buffered()
    unreader.unread(held[reader.length :])
    reader.length -= min(len(held), reader.length)
    if not hasattr(_of_thread, "piece"):
        _of_thread.piece = bytearray(_PIECE_BYTES)
    give_up = time.monotonic() + wait_s
    connection.settimeout(0)
    try:
        while reader.length:
            try:
                received = connection.recv_into(_of_thread.piece, min(reader.length, _PIECE_BYTES))
            except (BlockingIOError, ssl.SSLWantReadError):
                left_s = give_up - time.monotonic()
                if left_s <= 0 or not _comes(connection, left_s):
                    return False
                continue
            if not received:
                return False
            reader.length -= received
        return True
    finally:
        connection.settimeout(None)


def _comes(connection: socket.socket, within_s: float) -> bool:
    watched = select.poll()
    watched.register(connection, select.POLLIN)
    return bool(watched.poll(within_s * 1000))


def _read_in_time(environ: dict[str, Any]) -> bool:
    """A body of unknown length, which only gunicorn can read, and in whose midst it cannot stop."""
    with BodyReaders(1, retry_after_s=1).reading(environ, Deadline(_DISCARD_S)):
        while environ["wsgi.input"].read(_PIECE_BYTES):
            pass
    return True


def _read_what_is_here(connection: socket.socket, body: Any) -> bool:
    connection.settimeout(0)
    try:
        while body.read(_PIECE_BYTES):
            pass
        return True
    finally:
        connection.settimeout(None)


def _cut_off(environ: dict[str, Any]) -> None:
    connection = environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RD)
