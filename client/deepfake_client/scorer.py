"""What a scorer is: the one interface behind which a Triton server and an in-process model look the same."""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from deepfake_client.errors import DeadlineExceededError, ModelFaultError
from deepfake_client.release import ModelInfo

OK = "OK"


@dataclass(frozen=True)
class FrameScore:
    """The answer for one frame.

    Attributes:
        status: `OK`, or the name of the reason why the frame was not scored.
        fake_probability: 0-1, None unless the status is OK.
        probabilities: Softmax in the order of `ModelInfo.labels`, None unless the status is OK.
        face_box_px: x0, y0, x1, y1 of the largest face after EXIF orientation, None without a face.
        face_score: Detector score (0-1), 0 without a face.
        export_id: Which exported classifier answered; 0 for a frame that never reached it.
    """

    status: str
    fake_probability: float | None = None
    probabilities: tuple[float, ...] | None = None
    face_box_px: tuple[float, float, float, float] | None = None
    face_score: float = 0.0
    export_id: int = 0


@dataclass(frozen=True)
class Scoring:
    """The answer for the frames of one call.

    Attributes:
        info: The release that scored all of them.
        scores: One per image, in order.
    """

    info: ModelInfo
    scores: list[FrameScore]


class Deadline:
    """A point in time that every step of one request shares; whoever made it may bring it forward to now."""

    def __init__(self, timeout_s: float) -> None:
        """Starts the clock: the deadline is `timeout_s` seconds from now."""
        self.timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Makes every step that shares this deadline give up at its next look at it. From any thread."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def remaining_s(self) -> float:
        """Seconds left.

        Raises:
            DeadlineExceededError: There are none, or the request was cancelled.
        """
        if self._cancelled.is_set():
            raise DeadlineExceededError("the request was cancelled")
        left = self._at - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError(f"no answer within {self.timeout_s:g} s")
        return left


class FrameScorer(Protocol):
    """Scores encoded images. Safe to share between threads."""

    def info(self, deadline: Deadline) -> ModelInfo:
        """Identity of the model that answers now."""

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """Scores encoded images, all by the same release.

        Raises:
            ServiceError: One of its subclasses, for the whole call: there are no partial results.
        """

    def close(self) -> None:
        """Frees connections or models."""


@runtime_checkable
class PinnableScorer(FrameScorer, Protocol):
    """A scorer behind which several releases may be served at the same time."""

    def pin(self, release_id: str | None) -> None:
        """From now on this release alone answers; None: any."""


def frame_scores(
    info: ModelInfo,
    statuses: Sequence[int],
    fake_probabilities: Sequence[float],
    probabilities: Sequence[Sequence[float]],
    face_boxes: Sequence[Sequence[float]],
    face_scores: Sequence[float],
    export_ids: Sequence[int],
) -> list[FrameScore]:
    """Turns one value per frame of each output tensor into scores, and NaN into None.

    Raises:
        ModelFaultError: A frame has STATUS 0 and a probability that is not within 0-1.
    """
    scores = []
    for status, fake, softmax, box, face_score, export_id in zip(
        statuses, fake_probabilities, probabilities, face_boxes, face_scores, export_ids, strict=True
    ):
        ok = status == 0
        if ok and not (0.0 <= fake <= 1.0):
            raise ModelFaultError(f"the model answered {fake} for a frame with STATUS 0; it is faulty, export it again")
        x0, y0, x1, y1 = (float(v) for v in box)
        has_face = all(map(math.isfinite, (x0, y0, x1, y1, face_score)))
        scores.append(
            FrameScore(
                status=OK if ok else info.status_name(int(status)),
                fake_probability=float(fake) if ok else None,
                probabilities=tuple(float(v) for v in softmax) if ok else None,
                face_box_px=(x0, y0, x1, y1) if has_face else None,
                face_score=float(face_score) if has_face else 0.0,
                export_id=int(export_id),
            )
        )
    return scores
