"""Gives up requests whose client has gone, so that nobody's place and no inference is spent on them."""

import select
import socket
import threading
from typing import Any

from deepfake_client.scorer import Deadline

_LOOK_S = 0.25
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class DisconnectWatch:
    """Looks at the connections of all requests in flight, several times a second, in one thread. Thread-safe.

    A client that closes its sending side counts as gone, as it does with nginx: what a client that shuts down and goes
    on listening gains is too little for keeping everyone else's work.
    """

    def __init__(self) -> None:
        """Starts nothing: the worker process may still have to fork."""
        self._lock = threading.Lock()
        self._watched: dict[int, Deadline] = {}
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, environ: dict[str, Any], deadline: Deadline) -> int | None:
        """Cancels the deadline when the client goes.

        Args:
            environ: The request's WSGI environment; its body has been read.
            deadline: Of the request.

        Returns:
            What `forget` takes; None without gunicorn's socket, which cannot be watched.
        """
        connection = environ.get("gunicorn.socket")
        if not isinstance(connection, socket.socket) or connection.fileno() < 0:
            return None
        descriptor = connection.fileno()
        with self._lock:
            self._watched[descriptor] = deadline
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="disconnects", daemon=True)
                self._thread.start()
        self._wanted.set()
        return descriptor

    def forget(self, descriptor: int | None) -> None:
        """Ends the watch over one request."""
        if descriptor is not None:
            with self._lock:
                self._watched.pop(descriptor, None)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            self._look()
            pause.wait(_LOOK_S)

    def _look(self) -> None:
        """Cancels the requests whose clients have gone."""
        with self._lock:
            if not self._watched:
                self._wanted.clear()
            # Descriptors are asked under the lock: a request that ends meanwhile cannot give its number to another.
            poller = select.poll()
            for descriptor in self._watched:
                poller.register(descriptor, select.POLLRDHUP)
            for descriptor, events in poller.poll(0):
                if events & _GONE:
                    self._watched.pop(descriptor).cancel()
