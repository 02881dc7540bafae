"""The private folder in which the workers of one gateway share their counters: mapped files of prometheus-client."""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path

_LOG = logging.getLogger("gateway")
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "deepfake-gateway-metrics-"
_LOCK = "lock"
_KINDS = ("counter", "histogram", "gauge_livesum")
_RESERVED_BYTES = 2**17


class MetricsFolder:
    """A folder below the temporary files that lives as long as gunicorn's master process.

    A lock on it is held by the master and its workers. A folder without a holder was left by a killed gateway and is
    removed when the next one starts.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """Makes the folder and names it in the environment, for workers that are forked later.

        Args:
            parent: Where; the machine's folder of temporary files by default.

        Raises:
            OSError: It cannot be made.
        """
        parent = parent or Path(tempfile.gettempdir())
        _remove_left_behind(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.environ[_VARIABLE] = str(self.path)

    def forget_worker(self, pid: int) -> None:
        """Drops what a dead worker had in progress. What it has counted stays: counters never go back."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def reserve_files() -> bool:
    """Takes the disk space of this worker's files, where there is a folder; False if there is none left.

    A write to a mapped file for which the disk has no room would kill the process.
    """
    folder = os.environ.get(_VARIABLE)
    if not folder:
        return True
    reserved = Path(folder) / f"reserved_{os.getpid()}"
    try:
        for kind in _KINDS:
            with reserved.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)
            # Under this name the other workers read it, and an empty file fails their pages.
            reserved.replace(Path(folder) / f"{kind}_{os.getpid()}.db")
    except OSError as error:
        reserved.unlink(missing_ok=True)
        _LOG.warning("this worker counts nothing: %s: %s", folder, error.strerror)
        return False
    return True


def _remove_left_behind(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # One without a lock file is just being made.
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue  # before anything of it is opened: it may be a trap
            with os.fdopen(os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
