"""One supervised child process: started in its own session, logged to a file, ended for certain."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

_END_WITH_PARENT = Path(__file__).with_name("end_with_parent.py")


class Child:
    """A running child process. It is told to end when this process dies, however it dies."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path | None,
        cwd: Path | None = None,
        sockets: Sequence[socket.socket] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Starts the process.

        Args:
            name: For messages.
            command: Program and arguments.
            env: Its whole environment.
            log: File that gets its output, appended; this process's own output if None.
            cwd: Its current folder; this process's own if None.
            sockets: What it inherits, under the same descriptors.
            stop_signal: Asks it to end. If that is not SIGTERM, a SIGTERM to it, as to a whole group, does nothing.
        """
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        # -I and -S: nothing but the interpreter itself, in some 20 ms.
        launcher = [sys.executable, "-I", "-S", str(_END_WITH_PARENT), str(os.getpid()), str(int(stop_signal))]
        with _open_log(log) as output:
            # Its own session: Ctrl-C in a terminal reaches the supervisor alone, which then ends its children in order.
            self._process = subprocess.Popen(
                [*launcher, *command], env=dict(env), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd, pass_fds=[one.fileno() for one in sockets],
            )  # fmt: skip
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def state(self) -> str:
        """Its state as the kernel names it (R, S, T, ...); "" if it is gone."""
        return state_of(self.pid)

    def end(self, grace_s: float) -> None:
        """Asks it to end, waits up to `grace_s`, then kills its whole process group."""
        if self.exit_code is None and grace_s > 0:
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_text("utf-8", errors="replace") if self.log else ""
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _open_log(log: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError:  # a full disk keeps no server from its start
        return Path(os.devnull).open("ab")


class StopWatch:
    """Notices processes that something has stopped (SIGSTOP) and left so: they hold what they have and do nothing."""

    def __init__(self, limit_s: float = 3.0) -> None:
        self._limit_s = limit_s
        self._since: dict[int, float] = {}

    def overdue(self, states: Mapping[int, str]) -> int | None:
        """A process that has been stopped for longer than the limit, or None.

        Args:
            states: State by process id, now. A process under a debugger (t) does not count.
        """
        now = time.monotonic()
        self._since = {pid: self._since.get(pid, now) for pid, state in states.items() if state == "T"}
        return next((pid for pid, since in self._since.items() if now - since > self._limit_s), None)


def state_of(pid: int) -> str:
    """State of a process (R, S, T, Z, ...), "" if there is none."""
    fields = _stat_fields(Path("/proc") / str(pid))
    return fields[0] if fields else ""


def children_of(pid: int) -> dict[int, str]:
    """Process ids and states (R, S, Z, ...) of a process's direct children."""
    states = {}
    for entry in Path("/proc").iterdir():
        fields = _stat_fields(entry) if entry.name.isdigit() else []
        if fields and int(fields[1]) == pid:
            states[int(entry.name)] = fields[0]
    return states


def _stat_fields(process: Path) -> list[str]:
    """What the kernel says of a process after its name: state, parent, ...; nothing if it is gone."""
    try:
        return (process / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
