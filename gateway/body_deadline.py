"""Bounds the time that a client may take to send its body.

Gunicorn's threads read a body for as long as bytes trickle in, and a read in progress can only be ended from outside:
a timer closes the socket's receiving side, after which the answer can still be sent.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from client.scorer import Deadline


@contextlib.contextmanager
def body_deadline(environ: dict[str, Any], deadline: Deadline) -> Iterator[None]:
    """Ends the reading of a request's body when the deadline passes. Without gunicorn's socket it is only checked.

    Args:
        environ: The request's WSGI environment.
        deadline: Of the request.

    Raises:
        DeadlineExceededError: It passed while the body was read.
    """
    connection = environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket):
        timer = threading.Timer(deadline.remaining_s(), _end_reading, [connection])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
    else:
        yield
    deadline.remaining_s()


def _end_reading(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
