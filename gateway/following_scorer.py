"""A scorer that goes where a file says: to another Triton, without a request lost, when the file changes."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deepfake_client import DetectorClosedError, ModelInfo, ServerUnavailableError
from deepfake_client.scorer import Deadline, FrameScorer, Scoring

T = TypeVar("T")

_LOOK_S = 0.5
_RETRY_S = 0.25


@dataclass
class _Target:
    """Where requests go; `users` of them are under way there."""

    url: str
    scorer: FrameScorer
    users: int = 0


class FollowingScorer:
    """Scores at the address that a file holds. Thread-safe.

    A request is finished where it began. Where that fails because the server is gone, it begins anew where the file
    says by then.
    """

    def __init__(self, file: Path, make: Callable[[str], FrameScorer], outage_wait_s: float) -> None:
        """Reads nothing yet.

        Args:
            file: Holds the address of Triton's gRPC endpoint, or several; see `deepfake_client.create_detector`.
            make: Makes a scorer for that text, which does not itself wait for a server that is away.
            outage_wait_s: How long a request waits for a server that is away, or for the file to name another.
        """
        self._file = file
        self._make = make
        self._outage_wait_s = outage_wait_s
        self._lock = threading.Lock()
        self._looked_at = -_LOOK_S
        self._current: _Target | None = None
        self._closed = False

    def info(self, deadline: Deadline) -> ModelInfo:
        """See `FrameScorer.info`."""
        return self._call(lambda scorer: scorer.info(deadline), deadline)

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """See `FrameScorer.score`."""
        return self._call(lambda scorer: scorer.score(images, deadline, request_id), deadline)

    def close(self) -> None:
        """See `FrameScorer.close`."""
        with self._lock:
            target, self._current, self._closed = self._current, None, True
        if target is not None:
            target.scorer.close()

    def _call(self, call: Callable[[FrameScorer], T], deadline: Deadline) -> T:
        give_up = time.monotonic() + self._outage_wait_s
        while True:
            target = self._take()
            try:
                return call(target.scorer)
            except ServerUnavailableError as error:
                if not error.retryable or time.monotonic() > give_up:
                    raise
            finally:
                self._give_back(target)
            time.sleep(min(_RETRY_S, deadline.remaining_s()))

    def _take(self) -> _Target:
        """The current target, with one more user; a new one if the file has changed."""
        left_behind = None
        with self._lock:
            if self._closed:
                raise DetectorClosedError
            now = time.monotonic()
            if self._current is None or now - self._looked_at >= _LOOK_S:
                self._looked_at = now
                url = self._read()
                if self._current is None and not url:
                    raise ServerUnavailableError(f"{self._file.name} does not say where Triton is")
                if url and (self._current is None or url != self._current.url):
                    left_behind, self._current = self._current, _Target(url, self._make(url))
            assert self._current is not None
            target = self._current
            target.users += 1
            if left_behind is not None and left_behind.users:
                left_behind = None  # its last user closes it
        if left_behind is not None:
            left_behind.scorer.close()
        return target

    def _give_back(self, target: _Target) -> None:
        with self._lock:
            target.users -= 1
            unused = target.users == 0 and target is not self._current
        if unused:
            target.scorer.close()

    def _read(self) -> str:
        try:
            return self._file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""  # the last known address is the best guess
