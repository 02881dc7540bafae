"""Which of the deployments on one folder of releases moves its `current` link, and follows it."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

_LOCK = ".followed"


@contextlib.contextmanager
def sole_follower(releases_dir: Path) -> Iterator[bool]:
    """Whether this process is the one; it stays so until the context ends.

    Without this, a second deployment with another model would make the first one serve that model.

    Args:
        releases_dir: Made if it is not there.
    """
    releases_dir.mkdir(parents=True, exist_ok=True)
    with (releases_dir / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
