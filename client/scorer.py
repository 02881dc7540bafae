"""What a scorer is: the one interface behind which a Triton server and an in-process model look the same."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from client.errors import DeadlineExceededError, ModelFaultError
from client.model_info import ModelInfo

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


class Deadline:
    """A point in time that every step of one request shares."""

    def __init__(self, timeout_s: float) -> None:
        """Starts the clock: the deadline is `timeout_s` seconds from now."""
        self.timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Seconds left.

        Raises:
            DeadlineExceededError: There are none.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError(f"no answer within {self.timeout_s:g} s")
        return left


class FrameScorer(Protocol):
    """Scores encoded images. Safe to share between threads."""

    def info(self, deadline: Deadline) -> ModelInfo:
        """Identity of the model that answers."""

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> list[FrameScore]:
        """Scores encoded images; the result has one entry per image, in order.

        Raises:
            ServiceError: One of its subclasses, for the whole call: there are no partial results.
        """

    def close(self) -> None:
        """Frees connections or models."""


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
