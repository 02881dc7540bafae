"""The Python backend's shared memory regions: named after this deployment, hidden, and removed when it has ended.

A Triton that is killed leaves its regions in /dev/shm. Each deployment gives them a prefix of its own, written down
before the first one is made, so that it (or the next start, if it is killed itself) removes its own and no other.
"""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHM = Path("/dev/shm")


def remove_regions(prefix: str) -> list[str]:
    """Removes the regions of one deployment, whose Triton has ended; returns their names."""
    removed = []
    for region in _regions(prefix):
        with contextlib.suppress(OSError):  # what another user has given such a name
            region.unlink()
            removed.append(region.name)
    return removed


def hide_regions(prefix: str) -> None:
    """Takes the regions of one deployment from other users. They hold uploads, and the backend lets everyone read."""
    for region in _regions(prefix):
        with contextlib.suppress(OSError):
            status = region.lstat()  # others may make files there, and links, with names of ours
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o077:
                region.chmod(0o600)


def _regions(prefix: str) -> list[Path]:
    return [region for region in SHM.iterdir() if prefix and region.name.startswith(prefix)]


@contextmanager
def region_prefix(run_dir: Path) -> Iterator[str]:
    """A prefix for this deployment's regions; they are gone when the context ends.

    Args:
        run_dir: Where the prefixes of running deployments are written down.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    _remove_regions_of_the_dead(run_dir)
    prefix = f"deepfake_{os.getpid()}_{secrets.token_hex(6)}_"
    record = run_dir / f"{prefix}.json"
    record.write_text(json.dumps({"pid": os.getpid(), "started": start_time(os.getpid()), "prefix": prefix}), "utf-8")
    try:
        yield prefix
    finally:
        remove_regions(prefix)
        record.unlink(missing_ok=True)


def _remove_regions_of_the_dead(run_dir: Path) -> None:
    for record in run_dir.glob("deepfake_*.json"):
        try:
            owner = json.loads(record.read_text("utf-8"))
            prefix, alive = str(owner["prefix"]), start_time(int(owner["pid"])) == owner["started"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if not alive and prefix.startswith("deepfake_"):
            remove_regions(prefix)
            record.unlink(missing_ok=True)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot, or None without one: tells it from a later one of its id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
