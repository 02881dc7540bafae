"""The detector for asyncio programs."""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from deepfake_client.analysis.closer_look import Look
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.errors import DetectorClosedError
from deepfake_client.forks import renew_after_fork
from deepfake_client.media import MediaType
from deepfake_client.release import ModelInfo
from deepfake_client.result import DetectionOutput
from deepfake_client.scorer import Deadline
from deepfake_client.settings import ClientSettings

T = TypeVar("T")


class AsyncDetector:
    """Detects deepfakes without blocking the event loop; an asynchronous context manager.

    Decoding and hashing would block the loop, so each detection runs on a thread of this object's pool. Its methods may
    be awaited from several event loops.
    """

    def __init__(self, detector: Detector, workers: int = 8) -> None:
        """Takes over the detector and closes it in `close`.

        Args:
            detector: What detects.
            workers: Most detections at once. The deadline of one that waits has not begun.
        """
        self._detector = detector
        self._workers = workers
        self._closed = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """See `deepfake_client.forks.Forkable`."""
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="detect")

    def __reduce__(self) -> tuple[Any, ...]:
        return AsyncDetector, (self._detector, self._workers)

    async def detect(
        self,
        media: str | Path | bytes | BinaryIO,
        media_type: MediaType | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str = "",
        keep_frames: bool = False,
        include: Collection[Look] = (),
    ) -> DetectionOutput:
        """Scores one image or video; see `Detector.detect` for arguments and errors.

        Cancelling the task ends the requests under way. The thread notices within half a second; a stream must stay
        open so long.
        """
        return await self._run(
            timeout_s,
            lambda deadline: self._detector.detect(
                media,
                media_type,
                timeout_s=deadline,
                request_id=request_id,
                keep_frames=keep_frames,
                include=include,
            ),
        )

    async def info(self, timeout_s: float | None = None) -> ModelInfo:
        """Identity of the model that answers."""
        return await self._run(timeout_s, lambda deadline: self._detector.info(deadline))

    async def close(self) -> None:
        """Waits for the detections under way, then frees connections or models."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    async def __aenter__(self) -> "AsyncDetector":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, timeout_s: float | None, call: Callable[[Deadline], T]) -> T:
        if self._closed:
            raise DetectorClosedError
        started: list[Deadline] = []
        cancelled = threading.Event()

        def run() -> T:
            started.append(self._detector.deadline(timeout_s))
            if cancelled.is_set():  # while the line above ran, so that its deadline was not in the list
                started[0].cancel()
            return call(started[0])

        future = self._pool.submit(run)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            cancelled.set()
            for deadline in started:
                deadline.cancel()
            raise

    def _close(self) -> None:
        self._closed = True
        self._pool.shutdown()
        self._detector.close()


def create_async_detector(
    target: str | Path | Sequence[str], settings: ClientSettings | None = None, workers: int = 8
) -> AsyncDetector:
    """Makes an asynchronous detector; see `create_detector`.

    A directory is loaded before this returns, which takes seconds: call it where that blocks nobody.

    Args:
        target: Addresses of Triton servers, or a directory.
        settings: Client settings; from the environment by default.
        workers: Most detections at once.

    Raises:
        ConfigurationError: The target is neither.
    """
    return AsyncDetector(create_detector(target, settings), workers)
