"""The gateway as a server of its own: waitress, one process. It receives a request whole before a thread works on it.

A client that sends slowly or nothing holds a connection and no thread. What only a server in front can do stands in
deploy/nginx: TLS, limits for each client, and bodies that strangers may send.
"""

import json
import logging
import resource
import signal
import socket
import threading
import time
import uuid
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask

from gateway.errors import error_body
from gateway.request_context import REQUEST_ID_HEADER
from gateway.settings import GatewaySettings

_SPARE_THREADS = 8
"""Threads beside those of the detections: they refuse what is too much, and answer /health and the pages."""

_CONNECTIONS = 2000
_SILENCE_S = 20
_SWEEP_S = 5
_MAX_HEADER_BYTES = 2**16
_LOOK_S = 0.5
_UNFINISHED_S = 2.0
"""How long a stopping server waits for requests of which a part has come."""

_CODES = {400: "MALFORMED_REQUEST", 413: "BODY_TOO_LARGE", 431: "HEADERS_TOO_LARGE", 501: "NOT_IMPLEMENTED"}


class _JsonError:
    """An answer of waitress's own, in the form of all others."""

    def __init__(self, error: Any, max_body_bytes: int) -> None:
        self._error = error
        self._max_body_bytes = max_body_bytes

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status, headers and body, as waitress asks for them."""
        status, request_id = self._error.code, uuid.uuid4().hex
        message = "The gateway failed." if status >= 500 else f"The request cannot be read: {self._error.body}."
        if status == 413:
            message = f"The body is over the limit of {self._max_body_bytes} bytes. Send a smaller file."
        body = error_body(_CODES.get(status, "INTERNAL"), message, request_id)
        headers = [("Content-Type", "application/json"), (REQUEST_ID_HEADER, request_id)]
        return f"{status} {self._error.reason}", headers, json.dumps(body).encode()


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        self.request.error = _JsonError(self.request.error, self.channel.adj.max_request_body_size - 1)
        super().execute()


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _JsonErrorTask

    @property
    def is_idle(self) -> bool:
        """Whether no request of this connection is worked on or has an answer on its way."""
        return not self.requests and not self.total_outbufs_len


class _Listener:
    """waitress with its listening sockets, however many a host name stands for."""

    def __init__(self, app: WSGIApplication, settings: GatewaySettings) -> None:
        self._sockets: dict[int, Any] = {}
        create_server(
            app,
            map=self._sockets,
            **_place(settings),
            threads=settings.max_in_flight + _SPARE_THREADS,
            connection_limit=_CONNECTIONS,
            channel_timeout=_SILENCE_S,
            cleanup_interval=_SWEEP_S,
            channel_request_lookahead=1,  # a client that goes while its request is worked on is noticed
            asyncore_use_poll=True,
            max_request_header_size=_MAX_HEADER_BYTES,
            max_request_body_size=max(settings.max_body_bytes, settings.max_json_bytes) + 1,
            clear_untrusted_proxy_headers=False,  # the application believes TRUSTED_PROXIES of them
            ident=None,
        )
        for listener in self._listeners():
            listener.channel_class = _Channel

    def turn(self, timeout_s: float) -> None:
        """Sends and receives what there is, for about so long."""
        wasyncore.loop(timeout_s, use_poll=True, map=self._sockets, count=1)

    def close(self) -> None:
        """Takes no more connections."""
        for listener in self._listeners():
            wasyncore.dispatcher.close(listener)

    def end_idle(self, unfinished_too: bool) -> bool:
        """Closes the connections that wait for nothing; whether all are closed.

        Args:
            unfinished_too: Whether a request of which a part has come counts as nothing.
        """
        channels = [each for each in self._sockets.values() if isinstance(each, _Channel)]
        for channel in channels:
            if channel.is_idle and (unfinished_too or channel.request is None):
                channel.will_close = True
        return not channels

    def _listeners(self) -> list[BaseWSGIServer]:
        return [each for each in self._sockets.values() if isinstance(each, BaseWSGIServer)]


def _place(settings: GatewaySettings) -> dict[str, Any]:
    """Where waitress listens."""
    if settings.listen_fds:
        return {"sockets": [socket.socket(fileno=number) for number in settings.listen_fds]}
    if settings.host == "::":  # of IPv4 too
        address = (settings.host, settings.port)
        return {"sockets": [socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True)]}
    return {"host": settings.host, "port": settings.port}


def serve(app: WSGIApplication, settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the requests that are here.

    Raises:
        OSError: The address cannot be listened on.
    """
    # Each connection is an open file, and its upload another.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * _CONNECTIONS)), hard))
    listener = _Listener(app, settings)
    stopping = threading.Event()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    logging.getLogger("gateway").info("listening on port %d of %s", settings.port, settings.host)
    while not stopping.is_set():
        listener.turn(_LOOK_S)
    listener.close()
    began_at = time.monotonic()
    while (stopped_s := time.monotonic() - began_at) < settings.request_deadline_s + 5:
        if listener.end_idle(unfinished_too=stopped_s > _UNFINISHED_S):
            break
        listener.turn(0.05)
