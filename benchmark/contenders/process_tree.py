"""A started program and all that it starts, ended for certain."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator

import psutil  # type: ignore[import-untyped]

_REST_S = 3.0


def tree_pids(leader: int) -> list[int]:
    """The live processes below one that leads its own session, itself included, orphans of the session, too."""
    return sorted(process.pid for process in _processes(leader))


def end_tree(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Asks a session's leader to end, and kills what is left of its tree.

    Args:
        process: Started with `start_new_session`.
        grace_s: How long it may take to end by itself.
    """
    tree = _processes(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    _gone, left = psutil.wait_procs(tree, _REST_S)
    for survivor in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()
    # What was started after the list was made.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for orphan in _processes(process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    process.wait()
    psutil.wait_procs(left, _REST_S)


@contextlib.contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """Holds processes still (SIGSTOP), so that what polls while idle takes nothing from the others."""
    held = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    try:
        for process in held:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        yield
    finally:
        for process in held:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def _processes(leader: int) -> list[psutil.Process]:
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(leader)
        found = {one.pid: one for one in (top, *top.children(recursive=True))}
    for one in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(one.pid) == leader:
                found.setdefault(one.pid, one)
    return [one for one in found.values() if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
