"""Ports for servers that are started beside others on one machine, as by checks and benchmarks."""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000


def free_ports(count: int) -> list[int]:
    """Ports that nothing on this machine uses now, and that no other process of this user gets while this one lives.

    They lie below those that the kernel gives to outgoing connections, of which one might take a port before its server
    does; but where that range leaves no room, they are of that range.

    Args:
        count: How many, all different.

    Raises:
        OSError: There are not that many.
    """
    below = _first_ephemeral()
    candidates = random.sample(range(_FIRST, below), below - _FIRST) if below > _FIRST else []
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = candidates.pop() if candidates else 0  # 0: the kernel's choice
            try:
                one = held.enter_context(socket.socket())
                one.bind(("", port))
            except OSError:
                if not port:
                    raise
                continue
            if _is_ours(one.getsockname()[1]):
                found.append(one.getsockname()[1])
    return found


def _is_ours(port: int) -> bool:
    """Locks the port's byte of a file that all processes share; False where another one has it."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@cache
def _locks() -> int:
    """The descriptor stays open: the kernel gives the locks back when the process ends."""
    path = Path(tempfile.gettempdir()) / f"deepfake-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _first_ephemeral() -> int:
    try:
        return int(_EPHEMERAL.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0
