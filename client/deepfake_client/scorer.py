"""The interface of everything that scores frames: a Triton server, or a model in this process.

An application measures and traces the requests to Triton by the `RequestObserver` that it gives `create_detector`.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepfake_client.errors import DeadlineExceededError, ModelFaultError
from deepfake_client.release import ModelInfo

OK = "OK"

ANSWERED = "OK"
CANCELLED = "CANCELLED"


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
    """The time by which a request must be answered. All its steps share it, and `cancel` ends them early."""

    def __init__(self, timeout_s: float) -> None:
        """Starts the clock: the deadline is `timeout_s` seconds from now."""
        self.timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Ends the request: each step gives up when it next checks the deadline. Safe from any thread."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def has_s(self, duration_s: float) -> bool:
        """Whether so many seconds are left, and the request was not cancelled."""
        return not self.cancelled and time.monotonic() + duration_s < self._at

    def sleep(self, duration_s: float) -> None:
        """Waits so long, or until the request is cancelled."""
        self._cancelled.wait(duration_s)

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

    def server_id(self, deadline: Deadline) -> str:
        """Names the server that answers now, otherwise after each of its starts; "" where there is none.

        Raises:
            ServiceError: It does not say.
        """

    def close(self) -> None:
        """Frees connections or models."""


@dataclass(frozen=True)
class ModelOutputs:
    """What the ensemble computes for N images; NaN stands where an image has no value.

    Attributes:
        statuses: (N,) int32, 0 for an image that was scored.
        fake_probabilities: (N,) float32, 0-1.
        probabilities: (N, labels) float32, softmax.
        face_boxes_px: (N, 4) float32, x0, y0, x1, y1.
        face_scores: (N,) float32, 0-1.
        export_ids: (N,) int32, 0 for an image that never reached the classifier.
    """

    statuses: NDArray[np.int32]
    fake_probabilities: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    face_boxes_px: NDArray[np.float32]
    face_scores: NDArray[np.float32]
    export_ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Checks the probabilities.

        Raises:
            ModelFaultError: An image has STATUS 0 and a probability that is not within 0-1.
        """
        for fake in self.fake_probabilities[self.statuses == 0]:
            if not 0.0 <= fake <= 1.0:
                raise ModelFaultError(
                    f"the model answered {fake} for a frame with STATUS 0; it is faulty, export it again"
                )

    def scores(self, info: ModelInfo) -> list[FrameScore]:
        """One score per image, in order; `info` names the statuses."""
        return [self._score(i, info) for i in range(len(self.statuses))]

    def _score(self, i: int, info: ModelInfo) -> FrameScore:
        ok = self.statuses[i] == 0
        x0, y0, x1, y1 = self.face_boxes_px[i].tolist()
        face_score = float(self.face_scores[i])
        has_face = all(map(math.isfinite, (x0, y0, x1, y1, face_score)))
        return FrameScore(
            status=OK if ok else info.status_name(int(self.statuses[i])),
            fake_probability=float(self.fake_probabilities[i]) if ok else None,
            probabilities=tuple(self.probabilities[i].tolist()) if ok else None,
            face_box_px=(x0, y0, x1, y1) if has_face else None,
            face_score=face_score if has_face else 0.0,
            export_id=int(self.export_ids[i]),
        )


class ObservedRequest(Protocol):
    """One gRPC request under way."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What to send with it as gRPC metadata; names in lower case."""

    def ended(self, code: str) -> None:
        """Called once.

        Args:
            code: `OK`, the `DetectionError.code` of its failure, or `CANCELLED` where the caller gave it up.
        """


class RequestObserver(Protocol):
    """Is told of every inference request. Its methods run in the thread that scores, and must not raise."""

    def begin(self, url: str, frames: int, request_id: str) -> ObservedRequest:
        """A request is about to be sent.

        Args:
            url: host:port of the server.
            frames: How many images it carries.
            request_id: As Triton gets it.
        """


class NoObserver:
    """Does nothing: the default."""

    metadata: Mapping[str, str] = {}

    def begin(self, *_args: object, **_keywords: object) -> ObservedRequest:
        """See `RequestObserver.begin`."""
        return self

    def ended(self, code: str) -> None:
        """See `ObservedRequest.ended`."""
