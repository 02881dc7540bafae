"""Runs tasks on files outside this process, within limits: what a file does to its reader stays there and is ended.

A thread cannot be ended while it is inside a native library, and a fault there takes the whole process along. Here each
file gets a process of its own, forked by a helper that has the library loaded (`isolation.fork_server`), and the result
comes back through memory that both have. Nothing that such a process sends is unpickled.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from deepfake_client.errors import OverloadedError, ServerUnavailableError
from deepfake_client.forks import renew_after_fork
from deepfake_client.isolation.fork_server import READY, REFUSED
from deepfake_client.media import SNIFF_BYTES
from deepfake_client.scorer import Deadline

_LOG = logging.getLogger("deepfake_client.isolation")
_START_S = 30.0
_REACTION_S = 2.0  # the helper does nothing that takes longer: past it, it hangs itself
_LOOK_S = 0.5  # how often a cancelled deadline is looked for
_NO_PROCESS = "the system refuses another process for reading media"
# Not from the folder where the caller happens to stand; Python 3.10 has no -P for that.
_START = "import sys; del sys.path[0]; from {module} import main; main()"
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_FOR_SHORT_LIVES = {
    "OPENBLAS_NUM_THREADS": "1",  # the helper must have no second thread where it forks
    # Memory that a decoder has freed is used again, not given back to be asked for anew: it is gone soon enough.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}


class TimeUpError(Exception):
    """The limit has passed; the task's process has been killed unless `helper_hangs`."""

    def __init__(self, helper_hangs: bool = False) -> None:
        super().__init__()
        self.helper_hangs = helper_hangs


class IsolatedTasks:
    """Runs each task in a process of its own. Thread-safe; the helper starts with the first task."""

    def __init__(self, module: str, time_s: float, memory_bytes: int) -> None:
        """Starts nothing yet.

        Args:
            module: What the helper runs: its `main` calls `isolation.fork_server.serve`.
            time_s: Wall clock time of a task, in seconds. The processor time is limited to that on all cores.
            memory_bytes: Memory that a task allocates.
        """
        self._module = module
        self._time_s = time_s
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """See `deepfake_client.forks.Forkable`: the helper stays the other process's, which alone may end it."""
        self._lock = threading.Lock()
        if self._helper is not None:
            self._helper.leave()
            self._helper = None

    def close(self) -> None:
        """Ends the helper, and with it what it is working on."""
        with self._lock:
            if self._helper is not None:
                self._helper.end()
                self._helper = None

    @contextlib.contextmanager
    def run(self, stream: BinaryIO, task: dict[str, Any], deadline: Deadline | None) -> Iterator[tuple[int, int]]:
        """The exit code of a task on a file, negative for a signal; and a descriptor of the file with its result.

        Raises:
            TimeUpError: It takes longer than the limit.
            DeadlineExceededError: The deadline passed or was cancelled.
            OverloadedError: The system refuses another process.
            ServerUnavailableError: The helper died twice.
        """
        limits = {
            "memory_bytes": self._memory_bytes,
            "processor_s": math.ceil(self._time_s * len(os.sched_getaffinity(0))) + 1,
        }
        message = json.dumps({**task, **limits}).encode("ascii")
        with _file_of(stream) as file, _memory() as result:
            code = self._run(message, file, result, deadline)
            if code == -signal.SIGXCPU:
                raise TimeUpError
            yield code, result.fileno()

    def _run(self, message: bytes, file: BinaryIO, result: BinaryIO, deadline: Deadline | None) -> int:
        for _ in range(2):  # a helper that is gone, killed or hung is replaced, which takes all its children along
            result.truncate(0)
            helper = self._running()
            try:
                ended = helper.run(message, [file.fileno(), result.fileno()], deadline, self._time_s)
            except _HelperLostError:
                self._replace(helper)
                continue
            except TimeUpError as error:
                if error.helper_hangs:
                    self._replace(helper)
                raise
            if ended == REFUSED.decode():
                raise OverloadedError(_NO_PROCESS)
            return os.waitstatus_to_exitcode(int(ended))
        raise ServerUnavailableError("the process that reads media died twice")

    def _running(self) -> "_Helper":
        with self._lock:
            if self._helper is None:
                try:
                    self._helper = _Helper(self._module)
                except OSError as error:
                    raise OverloadedError(_NO_PROCESS) from error
            return self._helper

    def _replace(self, lost: "_Helper") -> None:
        _LOG.warning("the process of %s is lost; another one is started for the next file", self._module)
        with self._lock:
            if self._helper is lost:
                self._helper = None
        lost.end()


class _HelperLostError(Exception):
    """The helper is gone."""


class _Helper:
    """The running helper process."""

    def __init__(self, module: str) -> None:
        """Starts it, and returns once it is ready; an OSError says that it ended or took too long."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(self._control.close)
            # Its own session: Ctrl-C reaches this process alone.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(module=module), str(theirs.fileno())],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
            on_failure.pop_all()
        self.end = weakref.finalize(self, _end, self._control, self._process)
        try:
            self._control.settimeout(_START_S)
            if self._control.recv(len(READY)) != READY:  # libraries are loaded: that takes none of a file's time
                raise ChildProcessError(f"the process of {module} does not start")
            self._control.settimeout(_REACTION_S)
        except OSError:
            self.end()
            raise

    def leave(self) -> None:
        """Does nothing to the process when this object goes: it is not this process's child."""
        self.end.detach()
        self._process.returncode = 0

    def run(self, task: bytes, files: list[int], deadline: Deadline | None, limit_s: float) -> str:
        """Runs one task on the descriptors of its file and of the one for its result.

        Returns:
            The wait status of its process, or `REFUSED`.

        Raises:
            _HelperLostError: The helper is gone, or takes no task.
            TimeUpError: It takes longer than the limit.
            DeadlineExceededError: The deadline passed or was cancelled; the process is killed.
        """
        reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with reply:
            with theirs:
                try:
                    socket.send_fds(self._control, [task], [*files, theirs.fileno()])
                except OSError as error:
                    raise _HelperLostError from error
            ended = _await_end(reply, deadline, time.monotonic() + limit_s)
            if ended is None:
                reply.shutdown(socket.SHUT_WR)  # kills it; the answer says that the helper has seen this
                raise TimeUpError(_await_end(reply, None, time.monotonic() + _REACTION_S) is None)
            return ended


def _await_end(reply: socket.socket, deadline: Deadline | None, give_up: float) -> str | None:
    """What the helper says of the end of a task; None if nothing until the time `give_up`."""
    while (left := give_up - time.monotonic()) > 0:
        if deadline is not None:
            left = min(left, _LOOK_S, deadline.remaining_s())
        reply.settimeout(left)
        try:
            ended = reply.recv(64)
        except TimeoutError:
            continue
        except OSError as error:
            raise _HelperLostError from error
        if not ended:
            raise _HelperLostError
        return ended.decode("ascii")
    return None


def _end(control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    control.close()
    process.kill()  # and with it, by the kernel, its children
    process.wait()


def _environment() -> dict[str, str]:
    """No more of this process's environment than it takes to run Python with the same packages."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    folders = [Path(folder).absolute() for folder in sys.path]
    path = os.pathsep.join(str(folder) for folder in folders if folder not in _callers() or _holds_packages(folder))
    return {**kept, **_FOR_SHORT_LIVES, "PYTHONPATH": path}


def _callers() -> set[Path]:
    """Where the caller stands, and where its script lies: modules there are not meant for the helper."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return {Path.cwd(), *([Path(script).absolute().parent, Path(script).resolve().parent] if script else [])}


def _holds_packages(folder: Path) -> bool:
    return any((folder / package / "__init__.py").is_file() for package in ("av", "deepfake_client"))


def _memory() -> BinaryIO:
    """A file in memory that has no name and goes with its last descriptor."""
    return os.fdopen(os.memfd_create("task-result", os.MFD_CLOEXEC), "w+b", buffering=0)


@contextlib.contextmanager
def _file_of(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The content as a file with a position of its own: a copy in memory where the stream is no plain file."""
    own = _reopened(stream)
    with own or _memory() as file:
        if own is None:
            stream.seek(0)
            shutil.copyfileobj(stream, file, 2**20)
        yield file


def _reopened(stream: BinaryIO) -> BinaryIO | None:
    """The stream's file opened again, None if it has none or, as of an archive's member, another one."""
    try:
        number = stream.fileno()
        stream.flush()  # a spooled file writes to its file only when asked for the number
        opened = Path(f"/proc/self/fd/{number}").open("rb", buffering=0)  # noqa: SIM115 - returned
    except (OSError, ValueError, AttributeError):
        return None
    with contextlib.ExitStack() as unless_same:
        unless_same.callback(opened.close)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if os.fstat(opened.fileno()).st_size != size or opened.read(SNIFF_BYTES) != stream.read(SNIFF_BYTES):
            return None
        unless_same.pop_all()
    return opened
