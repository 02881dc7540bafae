"""How much memory the control group of this process may use: a container's limit, or that of a systemd unit."""

import contextlib
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def memory_limit_bytes(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int | None:
    """The smallest limit of this process's control group and those around it, version 1 or 2; None without any.

    Args:
        cgroups: Where control groups are mounted.
        own: Names the groups of this process. In a container it may name folders that only the host sees.
    """
    try:
        lines = own.read_text("utf-8").splitlines()
    except OSError:  # no Linux
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(base))):
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                limits.append(int((folder / name).read_text("ascii")))
    return min(limits, default=None)
