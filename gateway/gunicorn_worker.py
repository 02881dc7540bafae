"""Gunicorn's threaded worker, in which a client that only begins a request holds no thread for long.

Gunicorn's own waits in a thread: up to 5 s for the first byte of a new connection, and without a limit for the end of
its headers and of its TLS handshake. As many connections as there are threads, each with half a line, end the service.
"""

import contextlib
import socket
import threading
import time
from typing import Any

from gunicorn.workers import gthread

_FIRST_BYTE_S = 0.02
"""How long a thread waits for it; then the worker's poller does, which costs no thread."""

_LONGEST_S = 5.0
_GRACE_S = 0.25
_LOOK_S = 0.1

gthread.DEFAULT_WORKER_DATA_TIMEOUT = _FIRST_BYTE_S


class Beginnings:
    """The connections whose request is being received, up to the end of its headers. Thread-safe.

    One that takes more than 5 s is cut off. Where there are more than a few, so is the oldest after 0.25 s: threads are
    then scarce, and who is honest has sent his headers by that time.
    """

    def __init__(self, few: int) -> None:
        """Starts no thread: the worker may still have to fork."""
        self._few = few
        self._lock = threading.Lock()
        self._began: dict[Any, float] = {}
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, connection: Any) -> None:
        """Watches a connection of gunicorn's, whose `sock` may become another one in the handshake."""
        with self._lock:
            self._began[connection] = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="beginnings", daemon=True)
                self._thread.start()
        self._wanted.set()

    def over(self, connection: Any) -> None:
        """From here on the connection is not cut off. It need not be watched."""
        with self._lock:
            self._began.pop(connection, None)

    def _watch(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(_LOOK_S)
            with self._lock:
                if not self._began:
                    self._wanted.clear()
                self._cut_off_the_slow(time.monotonic())

    def _cut_off_the_slow(self, now: float) -> None:
        scarce = len(self._began) - self._few
        for number, (connection, began_at) in enumerate(list(self._began.items())):
            if now - began_at < (_GRACE_S if number < scarce else _LONGEST_S):
                break  # those behind it began later
            del self._began[connection]
            with contextlib.suppress(OSError):
                # See body_readers.py for why this is not the socket's own method.
                socket.socket.shutdown(connection.sock, socket.SHUT_RD)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """Handles requests as gunicorn's does, once they have begun."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._beginnings = Beginnings(max(self.cfg.threads // 4, 1))

    def handle(self, conn: Any) -> Any:
        """A connection has come, or has something to read. In a thread of the pool."""
        self._beginnings.begin(conn)
        try:
            return super().handle(conn)
        finally:
            self._beginnings.over(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """The headers are here."""
        self._beginnings.over(conn)
        return super().handle_request(req, conn)
