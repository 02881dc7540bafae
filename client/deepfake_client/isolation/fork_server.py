"""A process that forks a child for each task.

`isolation.tasks` starts it and speaks to it over a Unix socket: a message is a task, a JSON object, with three
descriptors: the task's file, an empty one for the result, and a socket. The child works and ends. Its wait status is
sent back over that socket, and when the other side of it closes, the child is killed. So what hangs can be ended from
here, whatever it hangs in, and the time it took to load libraries was spent once.

A child works under limits of its own: memory, processor time, and no descriptor beyond those it has, so that neither a
file nor a connection can be opened, whatever a file makes its reader do. Where memory runs out, the kernel ends it
before others. It dies with this process, and this one ends when the process that started it does.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

READY = b"ready"
"""Sent once, when the libraries are loaded."""

REFUSED = b"refused"
"""Sent in place of a wait status when no child can be made."""

NO_MEMORY = 3
"""Exit code of a child that reached its limit of memory in Python's own code."""

Work = Callable[[dict[str, Any], BinaryIO, BinaryIO], None]
"""Does a task on its file, and writes the result to the other one."""

_FILE, _RESULT = 3, 4  # the child's only descriptors besides the standard ones
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class _Child:
    """A process that works, and the socket on which its end is told."""

    pid: int
    pidfd: int
    sender: socket.socket


class _Children:
    """Forks a child for each task and tells the sender how it ended."""

    def __init__(self, control: socket.socket, work: Work) -> None:
        self._control = control
        self._work = work
        self._pid = os.getpid()
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Works until the process that started this one closes its end."""
        while True:
            for key, _ in self._selector.select():
                child: _Child | None = key.data
                if child is None:
                    if not self._begin():
                        return
                elif key.fd == child.pidfd:
                    self._reap(child)
                elif child.sender.fileno() == key.fd:  # or it has just been reaped
                    self._give_up(child)

    def _begin(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, 2**16, 3)
        if not message:
            return False
        file, result, to_sender = descriptors
        sender = socket.socket(fileno=to_sender)
        try:
            pid = os.fork()
        except OSError:
            pid = -1
        if pid == 0:
            _run(self._work, json.loads(message), file, result, self._pid)
        os.close(file)
        os.close(result)
        if pid < 0:
            _send(sender, REFUSED)
            return True
        child = _Child(pid, os.pidfd_open(pid), sender)
        self._selector.register(sender, selectors.EVENT_READ, child)
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)
        return True

    def _give_up(self, child: _Child) -> None:
        """The sender has hung up."""
        self._selector.unregister(child.sender)
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    def _reap(self, child: _Child) -> None:
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        with contextlib.suppress(KeyError):  # it hung up before
            self._selector.unregister(child.sender)
        _, status = os.waitpid(child.pid, 0)
        _send(child.sender, str(status).encode("ascii"))


def _send(sender: socket.socket, message: bytes) -> None:
    with sender, contextlib.suppress(OSError):  # nobody is there any more
        sender.send(message)


def _run(work: Work, task: dict[str, Any], file: int, result: int, parent: int) -> None:
    """What a child does; does not return."""
    code = 1
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            return
        _be_ended_first()
        _keep_only(file, result)
        _limit(task["memory_bytes"], task["processor_s"])
        with open(_FILE, "rb") as content, open(_RESULT, "wb") as answer:
            work(task, content, answer)
        code = 0
    except MemoryError:
        code = NO_MEMORY
    except BaseException as error:
        # Not its traceback: no source file can be opened here, and the message may be the file's own.
        os.write(2, f"isolated task: {type(error).__name__}\n".encode("ascii", "replace"))
    finally:
        os._exit(code)


def _be_ended_first() -> None:
    """What uses up the memory of a machine or a container is a child, and not the program that it works for."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _keep_only(file: int, result: int) -> None:
    """Closes everything else; descriptors come from the kernel in ascending order, so neither is below 3."""
    spare = max(file, result, _RESULT) + 1
    os.dup2(file, spare)
    os.dup2(result, spare + 1)
    os.dup2(spare, _FILE)
    os.dup2(spare + 1, _RESULT)
    os.closerange(_RESULT + 1, os.sysconf("SC_OPEN_MAX"))


def _limit(memory_bytes: int, processor_s: int) -> None:
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        # Not RLIMIT_AS: that counts what allocators merely reserve, which grows with the number of cores.
        (resource.RLIMIT_DATA, memory_bytes, memory_bytes),
        (resource.RLIMIT_FSIZE, memory_bytes, memory_bytes),  # the result lies in a file in memory
        (resource.RLIMIT_CPU, processor_s, processor_s + 1),  # SIGXCPU, by which the sender knows what happened
        (resource.RLIMIT_NOFILE, 0, 0),  # not one more than those that are open: a closed one's number stays unused
    ):
        most = resource.getrlimit(kind)[1]
        allowed = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(kind, (min(soft, allowed), allowed))
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def serve(work: Work, load: Callable[[], None]) -> None:
    """Does tasks until the process that started this one ends; does not return.

    Args:
        work: Called in a child for each task.
        load: Called once before: loads what the work needs, for a child can open no file.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to a whole group: a request that waits for a task is finished
    load()
    gc.collect()
    gc.freeze()  # the children's collections leave the pages that they share alone
    control.send(READY)
    _Children(control, work).serve()
    os._exit(0)  # the children are killed by the kernel
