"""The robustness run: every file again under each degradation, each frame beside its own clean score."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from client.detector import Detector, ScoredFrame
from client.errors import DetectionError, MediaDecodeError, NothingScoredError, ServerUnavailableError
from client.frames import identify, open_media, read_frames
from client.media import Frame
from client.model_info import ModelInfo
from client.scorer import OK, Deadline
from evaluation.degradation import Degradation
from evaluation.errors import EvaluationError, FrameTooLargeError, ModelChangedError
from evaluation.scoring import LOST_AFTER, LOST_CODES, NOT_TRIED, ScoredFile, check_model

NO_FACE = "NO_FACE"
"""Code of a file that a degradation does not apply to: it needs a face, and the clean run found none."""

NO_CLEAN_SCORE = "NO_CLEAN_SCORE"
"""Code of a file that has no score to compare with."""


@dataclass(frozen=True)
class PairedScore:
    """A file under one degradation, over the frames that have a score both clean and degraded.

    Attributes:
        clean: Mean fake probability of those frames in the clean run, 0-1; None without a pair.
        degraded: Their mean fake probability when degraded; None without a pair.
        frames: How many they are.
        error_code: Why there is no pair, or "".
        error_message: The same as a sentence, or "".
    """

    clean: float | None = None
    degraded: float | None = None
    frames: int = 0
    error_code: str = ""
    error_message: str = ""

    @property
    def failed(self) -> bool:
        """Whether the degraded file should have a score and has none."""
        return self.degraded is None and self.error_code not in (NO_FACE, NO_CLEAN_SCORE)


def score_degraded(
    detector: Detector,
    scored: Sequence[ScoredFile],
    degradations: Sequence[Degradation],
    info: ModelInfo,
    *,
    timeout_s: float | None,
    workers: int,
) -> Iterator[tuple[PairedScore, ...]]:
    """Scores the files again under each degradation, in order; an item has one entry per degradation.

    Args:
        detector: Shared by the workers.
        scored: The clean run.
        degradations: What to do to the frames.
        info: The model that is evaluated.
        timeout_s: Deadline of each file under each degradation; the client's own if None.
        workers: Files in progress at the same time.

    Raises:
        ModelChangedError: Another model has answered.
    """
    lost = 0
    answers = _in_order(detector, scored, degradations, info, timeout_s, workers)
    for number, pairs in enumerate(answers, start=1):
        yield pairs
        lost = lost + 1 if any(pair.error_code in LOST_CODES for pair in pairs) else 0
        if lost == LOST_AFTER:
            answers.close()
            not_tried = PairedScore(error_code=ServerUnavailableError.code, error_message=NOT_TRIED)
            yield from ((not_tried,) * len(degradations) for _ in scored[number:])
            return


def _in_order(
    detector: Detector,
    scored: Sequence[ScoredFile],
    degradations: Sequence[Degradation],
    info: ModelInfo,
    timeout_s: float | None,
    workers: int,
) -> Generator[tuple[PairedScore, ...], None, None]:
    waiting: deque[Future[tuple[PairedScore, ...]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="degrade") as pool:
        try:
            for row in scored:
                waiting.append(pool.submit(_degrade_file, detector, row, degradations, info, timeout_s))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _degrade_file(
    detector: Detector,
    row: ScoredFile,
    degradations: Sequence[Degradation],
    info: ModelInfo,
    timeout_s: float | None,
) -> tuple[PairedScore, ...]:
    if row.fake_probability is None:
        unscored = PairedScore(error_code=NO_CLEAN_SCORE, error_message="the file has no score in the clean run")
        return (unscored,) * len(degradations)
    timeout_s = timeout_s or detector.settings.timeout_s
    max_bytes = detector.settings.max_media_bytes
    try:
        with open_media(row.file.path) as stream:
            name = str(row.file.path)
            frames = read_frames(
                stream, identify(stream, name), name, deadline=Deadline(timeout_s), max_bytes=max_bytes
            )
    except Exception as error:  # one file must never end the run
        return (_failure(error),) * len(degradations)
    if len(frames) != len(row.frames):
        changed = MediaDecodeError(f"{row.file.path} gives {len(frames)} frames now and gave {len(row.frames)} before")
        return (_failure(changed),) * len(degradations)
    return tuple(_pair(detector, row, frames, degradation, info, Deadline(timeout_s)) for degradation in degradations)


def _pair(
    detector: Detector,
    row: ScoredFile,
    frames: Sequence[Frame],
    degradation: Degradation,
    info: ModelInfo,
    deadline: Deadline,
) -> PairedScore:
    usable = [
        (frame, clean)
        for frame, clean in zip(frames, row.frames, strict=True)
        if clean.score.status == OK and not (degradation.needs_face and clean.score.face_box_px is None)
    ]
    if not usable:
        return PairedScore(error_code=NO_FACE, error_message="the clean run found no face in this file")
    try:
        images = _degraded_images(usable, degradation, deadline, detector.settings.max_media_bytes)
        scoring = detector.scorer.score(images, deadline)
        check_model(scoring.info.version, info)
    except ModelChangedError:
        raise
    except Exception as error:  # one file must never end the run
        return _failure(error)
    both = [
        (clean.score.fake_probability, degraded.fake_probability)
        for (_, clean), degraded in zip(usable, scoring.scores, strict=True)
        if clean.score.fake_probability is not None and degraded.fake_probability is not None
    ]
    if not both:
        status = scoring.scores[0].status
        return _failure(NothingScoredError(f"no degraded frame was scored: {status}. {info.status_meaning(status)}"))
    return PairedScore(sum(c for c, _ in both) / len(both), sum(d for _, d in both) / len(both), len(both))


def _degraded_images(
    usable: Sequence[tuple[Frame, ScoredFrame]], degradation: Degradation, deadline: Deadline, max_bytes: int
) -> list[bytes]:
    images: list[bytes] = []
    size = 0
    for frame, clean in usable:
        deadline.remaining_s()
        images.append(degradation.apply(frame.encoded, clean.score.face_box_px))
        size += len(images[-1])
        if size > max_bytes:
            raise FrameTooLargeError(
                f"the frames under {degradation.name} hold over {max_bytes} bytes, the client's limit"
            )
    return images


def _failure(error: Exception) -> PairedScore:
    if isinstance(error, DetectionError | EvaluationError):
        return PairedScore(error_code=error.code, error_message=str(error))
    return PairedScore(error_code="INTERNAL", error_message=f"{type(error).__name__}: {error}")
