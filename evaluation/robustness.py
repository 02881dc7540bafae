"""The robustness run: every file is scored again under each degradation, each frame beside its clean score."""

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from threading import BoundedSemaphore

from deepfake_client.batch.scoring import VIDEO_WORKERS, in_order
from deepfake_client.detector import Detector
from deepfake_client.errors import (
    DetectionError,
    MediaDecodeError,
    MediaTooLargeError,
    ModelNotServedError,
    NothingScoredError,
    ServerUnavailableError,
    ServiceError,
)
from deepfake_client.media import Frame, MediaType, identify, open_media
from deepfake_client.release import ModelInfo
from deepfake_client.result import ScoredFrame
from deepfake_client.scorer import OK, Deadline, Scoring
from evaluation.degradation import Degradation
from evaluation.scoring import NOT_TRIED, ScoredFile, check_model

NO_FACE = "NO_FACE"
"""Code of a file without a face, for a degradation that needs one."""

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


@dataclass(frozen=True)
class _DegradedRun:
    """What the files of a run share."""

    detector: Detector
    degradations: Sequence[Degradation]
    info: ModelInfo
    timeout_s: float
    video_turns: BoundedSemaphore

    def pairs(self, row: ScoredFile) -> tuple[PairedScore, ...]:
        """A file under each degradation.

        Raises:
            ServiceError: The service is away, which need not be the file's fault.
            ModelChangedError: Another model has answered.
        """
        if row.fake_probability is None:
            unscored = PairedScore(error_code=NO_CLEAN_SCORE, error_message="the file has no score in the clean run")
            return (unscored,) * len(self.degradations)
        with self.video_turns if row.media_type is MediaType.VIDEO else nullcontext():
            try:
                frames = self._frames(row)
            except Exception as error:  # one file must never end the run
                return (_failure(error),) * len(self.degradations)
            return tuple(self._pair(row, frames, degradation) for degradation in self.degradations)

    def _frames(self, row: ScoredFile) -> list[Frame]:
        """The frames that the clean run sent."""
        name = str(row.file.path)
        with open_media(row.file.path) as stream:
            frames = self.detector.read_frames(identify(stream, name), Deadline(self.timeout_s))
        if [(f.index, f.timestamp_s) for f in frames] != [(f.index, f.timestamp_s) for f in row.frames]:
            raise MediaDecodeError(f"{name} does not give the frames that it gave in the clean run: it has changed")
        return frames

    def _pair(self, row: ScoredFile, frames: Sequence[Frame], degradation: Degradation) -> PairedScore:
        usable = [
            (frame, clean)
            for frame, clean in zip(frames, row.frames, strict=True)
            if clean.score.status == OK and not (degradation.needs_face and clean.score.face_box_px is None)
        ]
        if not usable:
            return PairedScore(error_code=NO_FACE, error_message="the clean run found no face in this file")
        deadline = Deadline(self.timeout_s)
        try:
            images = _degraded_images(usable, degradation, deadline, self.detector.settings.max_media_bytes)
            scoring = self.detector.scorer.score(images, deadline)
        except (ServerUnavailableError, ModelNotServedError):
            raise
        except Exception as error:  # one file must never end the run
            return _failure(error)
        check_model(scoring.info.version, self.info)
        return _mean_pair([clean for _, clean in usable], scoring)


def score_degraded(
    detector: Detector,
    rows: Sequence[ScoredFile],
    degradations: Sequence[Degradation],
    info: ModelInfo,
    *,
    timeout_s: float,
    workers: int,
) -> Iterator[tuple[PairedScore, ...]]:
    """Scores the files again under each degradation, in order; an item has one entry per degradation.

    A file for which the server was away is tried once more when its turn to be reported comes. If it is away again, the
    server is lost: what was scored stays and the rest is `NOT_TRIED`.

    Args:
        detector: Shared by the workers.
        rows: The clean run.
        degradations: What to do to the frames.
        info: The model that is evaluated.
        timeout_s: Deadline of each file under each degradation.
        workers: Files in progress at the same time, at most two of them videos.

    Raises:
        ModelChangedError: Another model has answered.
    """
    run = _DegradedRun(detector, degradations, info, timeout_s, BoundedSemaphore(VIDEO_WORKERS))
    answered = 0
    with closing(in_order(rows, run.pairs, run.pairs, workers=workers)) as answers:
        try:
            for pairs in answers:
                answered += 1
                yield pairs
        except ServiceError as error:
            not_tried = PairedScore(error_code=NOT_TRIED, error_message=f"server lost: {error}")
            yield from ((not_tried,) * len(degradations) for _ in rows[answered:])


def _mean_pair(clean_frames: Sequence[ScoredFrame], scoring: Scoring) -> PairedScore:
    both = [
        (clean.score.fake_probability, degraded.fake_probability)
        for clean, degraded in zip(clean_frames, scoring.scores, strict=True)
        if clean.score.fake_probability is not None and degraded.fake_probability is not None
    ]
    if not both:
        status = scoring.scores[0].status
        meaning = scoring.info.status_meaning(status)
        return _failure(NothingScoredError(f"no degraded frame was scored: {status}. {meaning}"))
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
            raise MediaTooLargeError(
                f"the frames under {degradation.name} hold over {max_bytes} bytes, the client's limit"
            )
    return images


def _failure(error: Exception) -> PairedScore:
    if isinstance(error, DetectionError):
        return PairedScore(error_code=error.code, error_message=str(error))
    return PairedScore(error_code="INTERNAL", error_message=f"{type(error).__name__}: {error}")
