"""Gunicorn's threaded worker, in which a client that only begins a request holds no thread for long.

Gunicorn's own waits in a thread: up to 5 s for the first byte of a new connection, and without a limit for the end of
its headers and of its TLS handshake. As many connections as there are threads, each with half a line, end the service.
"""

import contextlib
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from gunicorn.workers import gthread

_FIRST_BYTE_S = 0.02
"""How long a thread waits for it; then the worker's poller does, which costs no thread."""

_LINGER_S = 0.1
_LONGEST_S = 5.0
_STALLED_LOOKS = 3
_LOOK_S = 0.1

gthread.DEFAULT_WORKER_DATA_TIMEOUT = _FIRST_BYTE_S


@dataclass
class _Beginning:
    """A request whose headers, or a connection whose handshake, are being received.

    Attributes:
        began_at: When, on the monotonic clock.
        stalled_looks: At how many of the last looks there was nothing to read: the client keeps the thread waiting. One
            that has sent what it has to may have to wait for a thread's turn, which is no fault of its own.
    """

    began_at: float
    stalled_looks: int = 0


class Beginnings:
    """The connections whose request is being received, up to the end of its headers. Thread-safe.

    One that takes more than 5 s is cut off. Where there are more than a few, so are the oldest that keep their threads
    waiting: threads are then scarce, and who is honest has sent his headers by that time.
    """

    def __init__(self, few: int) -> None:
        """Starts no thread: the worker may still have to fork."""
        self._few = few
        self._lock = threading.Lock()
        self._under_way: dict[Any, _Beginning] = {}
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, connection: Any) -> None:
        """Watches a connection of gunicorn's, whose `sock` may become another one in the handshake."""
        with self._lock:
            self._under_way[connection] = _Beginning(time.monotonic())
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="beginnings", daemon=True)
                self._thread.start()
        self._wanted.set()

    def over(self, connection: Any) -> None:
        """From here on the connection is not cut off. It need not be watched."""
        with self._lock:
            self._under_way.pop(connection, None)

    def _watch(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(_LOOK_S)
            with self._lock:
                if not self._under_way:
                    self._wanted.clear()
                self._cut_off_the_slow(time.monotonic())

    def _cut_off_the_slow(self, now: float) -> None:
        too_many = len(self._under_way) - self._few
        for connection, beginning in list(self._under_way.items()):
            beginning.stalled_looks = 0 if _is_readable(connection) else beginning.stalled_looks + 1
            stalls = too_many > 0 and beginning.stalled_looks >= _STALLED_LOOKS
            if stalls or now - beginning.began_at > _LONGEST_S:
                too_many -= 1
                del self._under_way[connection]
                with contextlib.suppress(OSError):
                    # See body_readers.py for why this is not the socket's own method.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RD)


def _is_readable(connection: Any) -> bool:
    watched = select.poll()
    try:
        watched.register(connection.sock, select.POLLIN)
    except (OSError, ValueError):  # closed meanwhile
        return True
    return bool(watched.poll(0))


def _linger(connection: socket.socket) -> None:
    """Waits a little for a client to take its last answer and close.

    Gunicorn would do so next, for up to 2 s and in the loop that all connections need. It then has nothing to wait for.
    """
    give_up = time.monotonic() + _LINGER_S
    watched = select.poll()
    with contextlib.suppress(OSError, ValueError):  # closed meanwhile
        watched.register(connection, select.POLLIN)
        socket.socket.shutdown(connection, socket.SHUT_WR)
        while (left_s := give_up - time.monotonic()) > 0 and watched.poll(left_s * 1000):
            if not socket.socket.recv(connection, 2**16):
                break
        socket.socket.shutdown(connection, socket.SHUT_RD)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """Handles requests as gunicorn's does, once they have begun."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._beginnings = Beginnings(max(self.cfg.threads // 4, 1))

    def handle(self, conn: Any) -> Any:
        """A connection has come, or has something to read. In a thread of the pool."""
        self._beginnings.begin(conn)
        try:
            kept = super().handle(conn)
        finally:
            self._beginnings.over(conn)
        if not kept:
            _linger(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """The headers are here."""
        self._beginnings.over(conn)
        return super().handle_request(req, conn)
