"""Videos decoded outside this process, within limits: what one of them does to the decoder stays there and is ended.

A thread cannot be ended while it is inside libav, and a fault there takes the whole process along. Here each video gets
a process of its own, forked by a helper that has the decoder loaded (`video.decode_process`), and the frames come back
through memory that both have. Nothing that a decoder sends is unpickled.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deepfake_client.errors import (
    DetectionError,
    MediaDecodeError,
    MediaDecodeTimeoutError,
    MediaTooLargeError,
    OverloadedError,
    ServerUnavailableError,
)
from deepfake_client.forks import renew_after_fork
from deepfake_client.media import SNIFF_BYTES, Frame, Media, VideoTrack
from deepfake_client.scorer import Deadline
from deepfake_client.video.decode_process import INDEX_LENGTH_BYTES, NO_MEMORY, READY, REFUSED
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling

_LOG = logging.getLogger("deepfake_client.video.isolated")
_START_S = 30.0
_REACTION_S = 2.0  # the helper does nothing that takes longer: past it, it hangs itself
_LOOK_S = 0.5  # how often a cancelled deadline is looked for
_MESSAGE_CHARACTERS = 1000
_NO_PROCESS = "the system refuses another process for decoding"
# Not from the folder where the caller happens to stand; Python 3.10 has no -P for that.
_START = "import sys; del sys.path[0]; from deepfake_client.video.decode_process import main; main()"
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_FOR_SHORT_LIVES = {
    "OPENBLAS_NUM_THREADS": "1",  # the helper must have no second thread where it forks
    # Memory that a decoder has freed is used again, not given back to be asked for anew: it is gone soon enough.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding one video may take.

    Attributes:
        time_s: Wall clock time, in seconds. The processor time is limited to that on all cores.
        memory_bytes: Memory that the decoder allocates, the encoded frames among it.
    """

    time_s: float = 20.0
    memory_bytes: int = 4 * 2**30


class IsolatedDecoder:
    """Decodes each video in a process of its own. Thread-safe; the helper starts with the first video."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self._limits = limits or DecodeLimits()
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """See `deepfake_client.forks.Forkable`: the helper stays the other process's, which alone may end it."""
        self._lock = threading.Lock()
        if self._helper is not None:
            self._helper.leave()
            self._helper = None

    def __reduce__(self) -> tuple[Any, ...]:
        return IsolatedDecoder, (self._limits,)

    def sample_video(self, media: Media, sampling: Sampling = DEFAULT_SAMPLING) -> list[Frame]:
        """As `deepfake_client.video.sample.sample_video`.

        Raises:
            MediaDecodeTimeoutError: Decoding takes longer than the limit.
            MediaDecodeError: Also where the decoder crashes.
            MediaTooLargeError: Also where the decoder needs more memory than the limit.
            OverloadedError: The system refuses another process.
            ServerUnavailableError: The helper died twice.
        """
        task = {
            "name": media.name,
            "count": sampling.count,
            "max_bytes": sampling.max_bytes,
            "keyframes_may_stand_in": sampling.keyframes_may_stand_in,
            "seed": sampling.seed.hex(),
            "within_s": sampling.within_s,
            "memory_bytes": self._limits.memory_bytes,
            "processor_s": math.ceil(self._limits.time_s * len(os.sched_getaffinity(0))) + 1,
        }
        message = json.dumps(task).encode("ascii")
        with _file_of(media.stream) as video, _memory() as result:
            files = [video.fileno(), result.fileno()]
            for _ in range(2):  # a helper that is gone, killed or hung is replaced, which takes all its children along
                result.truncate(0)
                helper = self._running()
                try:
                    ended = helper.run(message, files, sampling.deadline, self._limits.time_s)
                except _HelperLostError:
                    self._replace(helper)
                    continue
                except _TimeUpError as error:
                    if error.helper_hangs:
                        self._replace(helper)
                    raise self._timeout(media) from None
                return self._outcome(ended, result.fileno(), media)
        raise ServerUnavailableError("the process that decodes videos died twice")

    def close(self) -> None:
        """Ends the helper, and with it what it is decoding."""
        with self._lock:
            if self._helper is not None:
                self._helper.end()
                self._helper = None

    def _running(self) -> "_Helper":
        with self._lock:
            if self._helper is None:
                try:
                    self._helper = _Helper()
                except OSError as error:
                    raise OverloadedError(_NO_PROCESS) from error
            return self._helper

    def _replace(self, lost: "_Helper") -> None:
        _LOG.warning("the process that decodes videos is lost; another one is started for the next video")
        with self._lock:
            if self._helper is lost:
                self._helper = None
        lost.end()

    def _timeout(self, media: Media) -> MediaDecodeTimeoutError:
        return MediaDecodeTimeoutError(
            f"{media.name}: this {media.format.name} file takes longer than {self._limits.time_s:g} s to decode, the "
            "limit; send it at a lower resolution (1080p is enough), or with a key frame at least every second"
        )

    def _outcome(self, ended: str, result: int, media: Media) -> list[Frame]:
        """The frames, or what the way in which a decoder ended stands for."""
        if ended == REFUSED.decode():
            raise OverloadedError(_NO_PROCESS)
        code = os.waitstatus_to_exitcode(int(ended))
        if code == 0:
            return _read_result(result, media)
        if code == -signal.SIGXCPU:
            raise self._timeout(media)
        if code == NO_MEMORY:
            raise MediaTooLargeError(
                f"{media.name}: decoding this {media.format.name} file takes more than {self._limits.memory_bytes} "
                "bytes of memory, the limit; send the video at a lower resolution"
            )
        _LOG.warning("a decoder ended with code %d", code)
        raise MediaDecodeError(f"{media.name}: cannot be decoded as {media.format.name}: the decoder crashed on it")


class _HelperLostError(Exception):
    """The helper is gone."""


class _TimeUpError(Exception):
    """The limit has passed; the decoder has been killed unless `helper_hangs`."""

    def __init__(self, helper_hangs: bool) -> None:
        super().__init__()
        self.helper_hangs = helper_hangs


class _Helper:
    """The running helper process."""

    def __init__(self) -> None:
        """Starts it, and returns once it is ready; an OSError says that it ended or took too long."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(self._control.close)
            # Its own session: Ctrl-C reaches this process alone.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno())],
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
            if self._control.recv(len(READY)) != READY:  # the decoder is loaded: that takes none of a video's time
                raise ChildProcessError("the process that decodes videos does not start")
            self._control.settimeout(_REACTION_S)
        except OSError:
            self.end()
            raise

    def leave(self) -> None:
        """Does nothing to the process when this object goes: it is not this process's child."""
        self.end.detach()
        self._process.returncode = 0

    def run(self, task: bytes, files: list[int], deadline: Deadline | None, limit_s: float) -> str:
        """Runs one task on the descriptors of the video and of the file for its result.

        Returns:
            The wait status of its process, or `REFUSED`.

        Raises:
            _HelperLostError: The helper is gone, or takes no task.
            _TimeUpError: It takes longer than the limit.
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
                raise _TimeUpError(_await_end(reply, None, time.monotonic() + _REACTION_S) is None)
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
    """Where the caller stands, and where its script lies: modules there are not meant for the decoder."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return {Path.cwd(), *([Path(script).absolute().parent, Path(script).resolve().parent] if script else [])}


def _holds_packages(folder: Path) -> bool:
    return any((folder / package / "__init__.py").is_file() for package in ("av", "deepfake_client"))


def _memory() -> BinaryIO:
    """A file in memory that has no name and goes with its last descriptor."""
    return os.fdopen(os.memfd_create("video-frames", os.MFD_CLOEXEC), "w+b", buffering=0)


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


def _read_result(result: int, media: Media) -> list[Frame]:
    """The frames in the result, which is empty afterwards; the process that wrote it may have been taken over."""
    try:
        return _parse_result(result, media.name)
    except (ValueError, TypeError, KeyError, LookupError, OSError) as error:
        raise MediaDecodeError(
            f"{media.name}: cannot be decoded as {media.format.name}: the decoder's answer makes no sense"
        ) from error


def _parse_result(result: int, name: str) -> list[Frame]:
    size = os.fstat(result).st_size - INDEX_LENGTH_BYTES
    length = int.from_bytes(os.pread(result, INDEX_LENGTH_BYTES, size), "big")
    end = size - length
    index: dict[str, Any] = json.loads(os.pread(result, length, end))
    if "error" in index:
        raise _error(index, name)
    track = index["track"] and VideoTrack(*map(int, index["track"]))
    frames = []
    # From the last one, and what was read is given back at once: never all frames in memory twice.
    for number, timestamp_s, start, count in sorted(index["frames"], key=lambda entry: entry[2], reverse=True):
        if not (0 <= start < start + count <= end and math.isfinite(timestamp_s)):
            raise ValueError("frames and index do not agree")
        frames.append(Frame(int(number), float(timestamp_s), os.pread(result, count, start), track))
        os.ftruncate(result, start)
        end = start
    return sorted(frames, key=lambda frame: frame.index)


def _error(index: dict[str, Any], name: str) -> DetectionError:
    message = str(index["message"])[:_MESSAGE_CHARACTERS]
    kinds: tuple[type[DetectionError], ...] = (MediaDecodeError, MediaTooLargeError)
    kind = next((kind for kind in kinds if kind.code == index["error"]), MediaDecodeError)
    return kind(message or f"{name}: cannot be decoded")
