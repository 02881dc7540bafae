"""Bounds the reading of bodies: how long one may take, and how many are read at a time.

Gunicorn's threads read a body for as long as bytes trickle in, and a read in progress can only be ended from outside:
closing the socket's receiving side ends it, after which the answer can still be sent.

What remains possible with slow clients: those that send bodies slowly while all readers are taken are ended after
`GRACE_S`, honest ones among them. A front that buffers requests, such as nginx, takes care of that. Headers that do not
come: see `gunicorn_worker`.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from deepfake_client.scorer import Deadline

from gateway.scoring.admission import overloaded

GRACE_S = 2.0
"""How long a body may be read, in seconds, before it can lose its reader to another one."""


class _Reading:
    """A body that is being read."""

    def __init__(self, connection: socket.socket | None) -> None:
        self.connection = connection
        self.started_at = time.monotonic()
        self.displaced = False

    def end(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(OSError):
                # Not its own method: over TLS that forgets the encryption, and the answer would go out in plain text.
                socket.socket.shutdown(self.connection, socket.SHUT_RD)


class BodyReaders:
    """Hands out the right to read a body. Thread-safe.

    Connections that only send headers cannot shut others out: when all readers are taken, the one that has been at it
    longest, if for longer than a grace, makes way for a new one.
    """

    def __init__(self, limit: int, retry_after_s: int, grace_s: float | None = None) -> None:
        """Reads nothing yet.

        Args:
            limit: Most bodies at a time.
            retry_after_s: When to send a refused request again.
            grace_s: Another time than `GRACE_S`.
        """
        self._limit = limit
        self._grace_s = grace_s
        self._retry_after_s = retry_after_s
        self._lock = threading.Lock()
        self._readings: list[_Reading] = []

    @contextlib.contextmanager
    def reading(self, environ: dict[str, Any], deadline: Deadline) -> Iterator[None]:
        """Ends the reading of a request's body when the deadline passes. Without gunicorn's socket it is only checked.

        Args:
            environ: The request's WSGI environment.
            deadline: Of the request.

        Raises:
            OverloadedRequestError: All readers are taken, or this one had to make way.
            DeadlineExceededError: The deadline passed while the body was read.
        """
        connection = environ.get("gunicorn.socket")
        reading = _Reading(connection if isinstance(connection, socket.socket) else None)
        timer = threading.Timer(deadline.remaining_s(), reading.end)
        timer.daemon = True
        self._begin(reading)
        if reading.connection is not None:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                if reading in self._readings:
                    self._readings.remove(reading)
            # In place of what a cut body made of the parser.
            if reading.displaced:
                raise overloaded("The body came too slowly while others waited.", self._retry_after_s)
            deadline.remaining_s()

    def _begin(self, reading: _Reading) -> None:
        with self._lock:
            if len(self._readings) >= self._limit:
                slowest = self._readings[0]
                if reading.started_at - slowest.started_at < (GRACE_S if self._grace_s is None else self._grace_s):
                    raise overloaded("Too many requests are being received.", self._retry_after_s)
                slowest.displaced = True
                slowest.end()
                self._readings.remove(slowest)
            self._readings.append(reading)
