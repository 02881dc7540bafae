"""Bounds what one client may ask of a worker process, so that it cannot take the others' share.

Counted in each worker: a client whose connections spread over all of them may reach GATEWAY_WORKERS times as much.
That is bounded too and needs no store that all would share and wait for. The library `limits` was not taken for it: it
measures with the wall clock, so that setting the clock back by an hour would shut a client out for that hour.
"""

import math
import threading
import time
from collections import Counter, deque
from ipaddress import IPv6Address, ip_address

from gateway.errors import RateLimitedError

_WINDOW_S = 60.0


class ClientLimits:
    """Counts each client's requests of the last minute and those in flight, and refuses what is over. Thread-safe."""

    def __init__(self, per_minute: int, max_in_flight: int, retry_after_s: int) -> None:
        """Limits nothing where a limit is 0.

        Args:
            per_minute: Requests of one client in any 60 s; refused ones do not count.
            max_in_flight: Requests of one client at a time.
            retry_after_s: When to try again after too many at a time.
        """
        self._per_minute = per_minute
        self._max_in_flight = max_in_flight
        self._retry_after_s = retry_after_s
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()
        self._began: dict[str, deque[float]] = {}
        self._swept_at = time.monotonic()

    def enter(self, client: str) -> None:
        """Counts a request that begins.

        Raises:
            RateLimitedError: The client has too many; nothing was counted.
        """
        with self._lock:
            if self._max_in_flight and self._in_flight[client] >= self._max_in_flight:
                raise _refusal("You have too many requests in flight.", self._retry_after_s)
            if self._per_minute:
                self._count(client, time.monotonic())
            self._in_flight[client] += 1

    def leave(self, client: str) -> None:
        """Ends a request that `enter` has counted."""
        with self._lock:
            self._in_flight[client] -= 1
            if not self._in_flight[client]:
                del self._in_flight[client]

    def _count(self, client: str, now: float) -> None:
        self._forget_the_idle(now)
        began = self._began.setdefault(client, deque())
        while began and began[0] <= now - _WINDOW_S:
            began.popleft()
        if len(began) >= self._per_minute:
            wait_s = math.ceil(began[0] + _WINDOW_S - now)
            raise _refusal(f"You have sent {self._per_minute} requests within a minute.", max(wait_s, 1))
        began.append(now)

    def _forget_the_idle(self, now: float) -> None:
        """Once a minute: memory holds the clients of the last two minutes only."""
        if now - self._swept_at >= _WINDOW_S:
            self._swept_at = now
            self._began = {client: began for client, began in self._began.items() if began[-1] > now - _WINDOW_S}


def client_of_address(address: str | None) -> str:
    """The client behind a network address. An IPv6 one stands for its /64, of which one caller has all addresses."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return "address:unknown"
    if not isinstance(parsed, IPv6Address):
        return f"address:{parsed}"
    if parsed.ipv4_mapped:
        return f"address:{parsed.ipv4_mapped}"
    return f"address:{IPv6Address(int(parsed) >> 64 << 64)}/64"


def _refusal(reason: str, retry_after_s: int) -> RateLimitedError:
    return RateLimitedError(
        f"{reason} Send it again in {retry_after_s} s.", "RATE_LIMITED", retry_after_s=retry_after_s
    )
