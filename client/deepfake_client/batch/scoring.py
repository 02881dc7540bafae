"""Scores many files with one detector and gives one report for each, also for a file that fails."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from deepfake_client.analysis.closer_look import Look
from deepfake_client.batch.inputs import OpenMedia
from deepfake_client.detector import Detector
from deepfake_client.errors import DetectionError, ModelNotServedError, ServerUnavailableError, ServiceError
from deepfake_client.media import Media, MediaType, identify, open_media
from deepfake_client.pictures import canary_image
from deepfake_client.result import DetectionOutput
from deepfake_client.scorer import OK, Deadline

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")

WORKERS = 16
VIDEO_WORKERS = 2

_WINDOW = 4
"""Files per worker that may be ahead of the one to be reported next, so that a long video holds up few others."""

_CANARY_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class FileReport:
    """The outcome for one file: an output, or an error code and its reason.

    Attributes:
        path: What the file was called: a `Path`, or whatever else names a file to who opens it.
    """

    path: os.PathLike[str]
    output: DetectionOutput | None = None
    error_code: str = ""
    error_message: str = ""


def detect_files(
    detector: Detector,
    paths: Iterable[os.PathLike[str]],
    *,
    media_type: MediaType | None = None,
    timeout_s: float | None = None,
    workers: int = WORKERS,
    video_workers: int = VIDEO_WORKERS,
    open_file: OpenMedia = open_media,
    keep_frames: bool = False,
    include: Collection[Look] = (),
) -> Generator[FileReport]:
    """Scores the files on several threads; the reports come in the order of the paths.

    A file during which the service failed is tried once more when it is the next to be reported. If it fails again
    while the service scores a canary image, the file itself brings the service down, and its report says so.

    Args:
        detector: Shared by the threads.
        paths: The files; `open_file` opens them, and messages call them by their `str()`.
        media_type: What every file must be; sniffed otherwise.
        timeout_s: Deadline of each file; the client's setting by default.
        workers: Files in progress at the same time.
        video_workers: Most videos among them: the frames of each are held in memory, and decoding keeps a core busy.
        open_file: Opens a path.
        keep_frames: As for `Detector.detect`; every report that is not yet taken holds its frames.
        include: As for `Detector.detect`.

    Raises:
        ServiceError: The service is lost. Files that have not been reported have not been scored.
    """
    turns = threading.BoundedSemaphore(video_workers)
    batch = _Batch(detector, media_type, timeout_s, turns, open_file, keep_frames, include)
    return in_order(paths, batch.detect, batch.detect_again, workers=workers, cancel=batch.cancel)


def in_order(
    items: Iterable[_Item],
    work: Callable[[_Item], _Outcome],
    again: Callable[[_Item], _Outcome],
    *,
    workers: int,
    cancel: Callable[[], None] = lambda: None,
) -> Generator[_Outcome]:
    """The outcomes of work on several threads, in the order of the items.

    Args:
        items: Taken as the work gets on; never many more than were reported.
        work: Called in a thread for each item.
        again: Called in place of `work`, once, when an item for which it raised a ServiceError is the next to be
            reported. What it raises ends the run.
        workers: Items in progress at the same time.
        cancel: Called at the end, also an early one: ends what is still in progress.
    """
    waiting: deque[tuple[_Item, Future[_Outcome]]] = deque()

    def first() -> _Outcome:
        item, future = waiting.popleft()
        try:
            return future.result()
        except ServiceError:
            return again(item)

    with ThreadPoolExecutor(workers, thread_name_prefix="detect") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > _WINDOW * workers:
                    yield first()
            while waiting:
                yield first()
        finally:
            for _, future in waiting:
                future.cancel()
            cancel()


@dataclass(frozen=True)
class _Batch:
    """What the files of a run share."""

    detector: Detector
    media_type: MediaType | None
    timeout_s: float | None
    video_turns: threading.BoundedSemaphore
    open_file: OpenMedia
    keep_frames: bool
    include: Collection[Look]
    deadlines: set[Deadline] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Ends the detections under way, and those that have not begun."""
        self.cancelled.set()
        for deadline in list(self.deadlines):
            deadline.cancel()

    def detect(self, path: os.PathLike[str]) -> FileReport:
        """The outcome of one file; a ServiceError that need not be the file's fault is raised."""
        try:
            with self.open_file(path) as stream:
                media = identify(stream, str(path))
                with self._turn(media), self._deadline() as deadline:
                    output = self.detector.detect(
                        media,
                        self.media_type,
                        timeout_s=deadline,
                        keep_frames=self.keep_frames,
                        include=self.include,
                    )
            return FileReport(path, output)
        except (ServerUnavailableError, ModelNotServedError):
            raise
        except DetectionError as error:
            return _failed(path, error)
        except Exception as error:  # one file must never end the run
            return FileReport(path, error_code="INTERNAL", error_message=f"{type(error).__name__}: {error}")

    def detect_again(self, path: os.PathLike[str]) -> FileReport:
        """The outcome of a file during which the service failed; a ServiceError says that the service is lost."""
        try:
            return self.detect(path)
        except ServiceError as error:
            if not service_works(self.detector):
                raise
            return _failed(path, error)

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[Deadline]:
        deadline = self.detector.deadline(self.timeout_s)
        self.deadlines.add(deadline)
        if self.cancelled.is_set():
            deadline.cancel()
        try:
            yield deadline
        finally:
            self.deadlines.discard(deadline)

    def _turn(self, media: Media) -> contextlib.AbstractContextManager[object]:
        """Limits the videos at once. A video waits here before its deadline begins."""
        is_video = media.format.media_type is MediaType.VIDEO
        return self.video_turns if is_video else contextlib.nullcontext()


def service_works(detector: Detector) -> bool:
    """Whether the service scores a canary image now."""
    try:
        scoring = detector.scorer.score([canary_image()], Deadline(_CANARY_TIMEOUT_S), "canary")
    except ServiceError:
        return False
    return scoring.scores[0].status == OK


def _failed(path: os.PathLike[str], error: DetectionError) -> FileReport:
    return FileReport(path, error_code=error.code, error_message=str(error))
