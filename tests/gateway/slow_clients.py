"""Good answers a second beside clients that do not behave: `python -m tests.gateway.slow_clients --help`.

Kinds: `headers` (a line a second, without end), `bodies` (a byte a second), `silent` (nothing at all), and `overload`
(ten times as many requests as are answered undisturbed). Prints one JSON object.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KINDS = ("headers", "bodies", "silent", "overload")
BOUNDARY = b"frontier"
_PAUSE_S = 1.0
_GIVE_UP_S = 30.0
_HEAD = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=frontier\r\n"
_BEGINNINGS = {
    "headers": (_HEAD, b"X-More: x\r\n"),
    "bodies": (_HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
    "silent": (b"", b""),
}


@dataclass
class Answers:
    """What was answered, and for how long it was asked.

    Attributes:
        statuses: How often each status came; 0 is no answer.
        without_retry_after: Refusals (429, 503) without that header.
        elapsed_s: From the first request to the end of the last answer counted.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    elapsed_s: float = 0.0

    @property
    def good_per_s(self) -> float:
        """Answers with status 200 a second."""
        return self.statuses[200] / self.elapsed_s


class Gateway:
    """The gateway under load.

    Attributes:
        image: What is sent; each time with other bytes after its end, so that no cache knows it.
    """

    def __init__(self, url: str, image: bytes) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self.image = image
        self._numbers = itertools.count(time.time_ns())

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        return await asyncio.open_connection(self._host, self._port)

    async def ask(self, answers: Answers) -> None:
        """Sends the image on a connection of its own, and counts what is answered."""
        status, head = 0, b""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_GIVE_UP_S):
                reader, writer = await self.connect()
                try:
                    writer.write(self._request())
                    head = await reader.readuntil(b"\r\n\r\n")
                    status = int(head.split(maxsplit=2)[1])
                    await reader.read()
                finally:
                    writer.close()
        answers.statuses[status] += 1
        answers.without_retry_after += status in (429, 503) and b"\r\nretry-after:" not in head.lower()

    def _request(self) -> bytes:
        part = b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        body = part + self.image + str(next(self._numbers)).encode() + b"\r\n--frontier--\r\n"
        return _HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def closed_loop(gateway: Gateway, clients: int, seconds: float) -> Answers:
    """So many clients, each of which asks again when it has its answer."""
    answers, began = Answers(), time.monotonic()

    async def client() -> None:
        while time.monotonic() - began < seconds:
            await gateway.ask(answers)

    await asyncio.gather(*(client() for _ in range(clients)))
    answers.elapsed_s = time.monotonic() - began
    return answers


async def open_loop(gateway: Gateway, per_s: float, seconds: float) -> Answers:
    """Requests at a steady rate, whatever becomes of the others."""
    answers, began = Answers(), time.monotonic()
    asked: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        due = number / per_s
        if due > seconds:
            break
        await asyncio.sleep(max(began + due - time.monotonic(), 0))
        asked.add(asyncio.create_task(gateway.ask(answers)))
    within = Answers(Counter(answers.statuses), answers.without_retry_after, time.monotonic() - began)
    await asyncio.gather(*asked)
    within.without_retry_after = answers.without_retry_after
    return within


@contextlib.asynccontextmanager
async def crowd(gateway: Gateway, kind: str, clients: int) -> AsyncIterator[None]:
    """So many slow clients; one that is cut off comes again."""
    beginning, more = _BEGINNINGS[kind]

    async def client() -> None:
        while True:
            with contextlib.suppress(OSError):
                _reader, writer = await gateway.connect()
                try:
                    writer.write(beginning)
                    while not writer.is_closing():
                        await asyncio.sleep(_PAUSE_S)
                        writer.write(more)
                        await writer.drain()
                finally:
                    writer.close()
            await asyncio.sleep(_PAUSE_S / 10)

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    await asyncio.sleep(_PAUSE_S)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(
    gateway: Gateway, kind: str, seconds: float, good: int, slow: int, times: float = 10.0
) -> dict[str, Any]:
    """Undisturbed and disturbed, one after the other.

    Args:
        gateway: What is measured.
        kind: One of `KINDS`.
        seconds: How long each of the two takes.
        good: Clients that behave.
        slow: Those that do not.
        times: The overload, in undisturbed rates.

    Returns:
        Rates in good answers a second, their ratio, and the statuses of the disturbed part.
    """
    await closed_loop(gateway, good, min(seconds, 1.0))  # warm-up
    alone = await closed_loop(gateway, good, seconds)
    if kind == "overload":
        beside = await open_loop(gateway, times * alone.good_per_s, seconds)
    else:
        async with crowd(gateway, kind, slow):
            beside = await closed_loop(gateway, good, seconds)
    return {
        "kind": kind,
        "undisturbed_per_s": round(alone.good_per_s, 2),
        "beside_per_s": round(beside.good_per_s, 2),
        "ratio": round(beside.good_per_s / alone.good_per_s, 3) if alone.good_per_s else 0.0,
        "statuses": {str(status): count for status, count in sorted(beside.statuses.items())},
        "without_retry_after": beside.without_retry_after,
    }


def run(make: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
    """Runs one measurement."""
    return asyncio.run(make())


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.slow_clients", description=__doc__)
    parser.add_argument("--url", required=True, help="of the gateway, or of what stands before it")
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each part takes")
    parser.add_argument("--image", type=Path, required=True, help="the file that good clients send")
    parser.add_argument("--good", type=int, default=12, help="good clients: as many as the gateway has slots")
    parser.add_argument("--slow", type=int, default=200, help="slow clients")
    parser.add_argument("--times", type=float, default=10.0, help="the overload, in undisturbed rates")
    options = parser.parse_args(arguments)
    gateway = Gateway(options.url, options.image.read_bytes())
    result = run(lambda: measure(gateway, options.kind, options.seconds, options.good, options.slow, options.times))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
