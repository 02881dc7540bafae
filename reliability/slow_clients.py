"""Clients that hold connections without using them: four kinds, which come again when they are cut off."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Self

_STOP_S = 10.0
_AGAIN_S = 0.2
_RECEIVE_BUFFER_BYTES = 4096
_LARGE_ANSWER = b"GET /static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
_UPLOAD = (
    b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 1000000\r\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
)

Behaviour = Callable[[asyncio.AbstractEventLoop, socket.socket], Awaitable[None]]


async def _header(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """A byte of a header each second."""
    await loop.sock_sendall(connection, b"POST /detect HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    while True:
        await loop.sock_sendall(connection, b"x")
        await _second_or_end(loop, connection)


async def _body(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """A kilobyte of a body each second, 1 MB in all."""
    await loop.sock_sendall(connection, _UPLOAD)
    while True:
        await loop.sock_sendall(connection, bytes(1000))
        await _second_or_end(loop, connection)


async def _silent(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Nothing at all."""
    while True:
        await _second_or_end(loop, connection)


async def _reader(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Asks for 1.4 MB and takes a kilobyte of it a second."""
    await loop.sock_sendall(connection, _LARGE_ANSWER)
    while await loop.sock_recv(connection, 1000):
        await asyncio.sleep(1)


async def _second_or_end(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Waits a second.

    Raises:
        ConnectionError: The server has answered or closed meanwhile; either way it is done with this request.
    """
    try:
        await asyncio.wait_for(loop.sock_recv(connection, 2**16), 1)
    except TimeoutError:
        return
    raise ConnectionError


KINDS: dict[str, Behaviour] = {
    "slow headers": _header,
    "slow bodies": _body,
    "silent": _silent,
    "slow readers": _reader,
}


class SlowClients:
    """A crowd of one kind, in a thread of its own."""

    def __init__(self, port: int, kind: str, count: int) -> None:
        """Connects nothing yet.

        Args:
            port: Of the server on 127.0.0.1.
            kind: One of `KINDS`.
            count: How many at a time.
        """
        self._port = port
        self._behaviour = KINDS[kind]
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_STOP_S)

    async def _run(self) -> None:
        clients = [asyncio.create_task(self._client()) for _ in range(self._count)]
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with socket.socket() as connection:
                connection.setblocking(False)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
                try:
                    await loop.sock_connect(connection, ("127.0.0.1", self._port))
                    await self._behaviour(loop, connection)
                except OSError:
                    pass  # cut off, and so it comes again
            await asyncio.sleep(_AGAIN_S)
