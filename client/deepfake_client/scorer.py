"""The interface of everything that scores frames: a Triton server, or a model in this process.

An application measures and traces the requests to Triton by the `RequestObserver` that it gives `create_detector`.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepfake_client.errors import DeadlineExceededError, ModelFaultError
from deepfake_client.pictures import Box
from deepfake_client.release import ModelInfo

OK = "OK"

ANSWERED = "OK"
CANCELLED = "CANCELLED"


MAX_FACES = 8
"""Most faces of a frame that a release reports."""

MIN_FACE_PX = 40.0
"""Shorter side of a face box. A model of 224 px gets a smaller square one enlarged 4.3 times and more: it is not scored
beside a larger one, and where a release is for faces only it is none."""

WHOLE_PICTURE: Box = (0.0, 0.0, 0.0, 0.0)
"""Given in place of a face box, it has the whole picture scored."""


@dataclass(frozen=True)
class Face:
    """A face that was found in a frame.

    Attributes:
        box_px: x0, y0, x1, y1 in pixels after EXIF orientation, clipped to the frame.
        score: The detector's, 0-1.
        fake_probability: 0-1; None where this face was not scored: it is too small, or there are too many.
        members: Fake probability of each of `ModelInfo.members`; () where there are none, or the face was not scored.
    """

    box_px: Box
    score: float
    fake_probability: float | None = None
    members: tuple[float, ...] = ()

    @property
    def shorter_side_px(self) -> float:
        """Of the box."""
        x0, y0, x1, y1 = self.box_px
        return min(x1 - x0, y1 - y0)


@dataclass(frozen=True)
class FrameScore:
    """The answer for one frame.

    Attributes:
        status: `OK`, or the name of the reason why the frame was not scored.
        fake_probability: 0-1, of the largest face, or of the whole frame without one; None unless the status is OK.
        probabilities: In the order of `ModelInfo.labels`, None unless the status is OK.
        faces: The largest first, 8 at most; none where a box was given.
        members: What each of `ModelInfo.members` says where `fake_probability` is what they say together; () where
            there are none, and unless the status is OK.
        export_id: Which exported classifier answered; 0 for a frame that never reached it.
    """

    status: str
    fake_probability: float | None = None
    probabilities: tuple[float, ...] | None = None
    faces: tuple[Face, ...] = ()
    members: tuple[float, ...] = ()
    export_id: int = 0

    @property
    def face_box_px(self) -> Box | None:
        """Box of the largest face, None without one."""
        return self.faces[0].box_px if self.faces else None

    @property
    def face_score(self) -> float:
        """The detector's score (0-1) of the largest face, 0 without one."""
        return self.faces[0].score if self.faces else 0.0


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

    def score(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        request_id: str = "",
        face_boxes_px: Sequence[Box | None] | None = None,
    ) -> Scoring:
        """Scores encoded images, all by the same release.

        Args:
            images: The encoded files.
            deadline: Bounds the whole call.
            request_id: For logs and traces.
            face_boxes_px: Of each image the face to score, x0, y0, x1, y1 after EXIF orientation, or `WHOLE_PICTURE`;
                no face is searched for then. None: the largest face that is found.

        Raises:
            ServiceError: One of its subclasses, for the whole call: there are no partial results.
        """

    def server_id(self, deadline: Deadline) -> str:
        """Names the server that answers now, otherwise after each of its starts; "" where there is none.

        Where two have a part in an answer, both are named, with a blank between.

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
        probabilities: (N, labels) float32, see `Description.activation`.
        faces: (N, F, 5) float32, x0, y0, x1, y1 in pixels and the detector's score (0-1); the largest first.
        export_ids: (N,) int32, 0 for an image that never reached the classifier.
        members: (N, M) float32, 0-1, the fake probability by each of M models that are fused; None of one model.
        prepared_by: (N,) int32, the export whose preprocessing made the pixels; None where that is the same one.
    """

    statuses: NDArray[np.int32]
    fake_probabilities: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    faces: NDArray[np.float32]
    export_ids: NDArray[np.int32]
    members: NDArray[np.float32] | None = None
    prepared_by: NDArray[np.int32] | None = None

    @property
    def releases(self) -> set[int]:
        """Export ids of the releases that had a part in these; more than one: they are no scores."""
        return set(self.export_ids.tolist()).union([] if self.prepared_by is None else self.prepared_by.tolist()) - {0}

    def __post_init__(self) -> None:
        """Checks the probabilities.

        Raises:
            ModelFaultError: An image has STATUS 0 and a probability that is not within 0-1.
        """
        scored = self.statuses == 0
        of_members = [] if self.members is None else self.members[scored].ravel().tolist()
        for fake in (*self.fake_probabilities[scored].tolist(), *of_members):
            if not 0.0 <= fake <= 1.0:
                raise ModelFaultError(
                    f"the model answered {fake} for a frame with STATUS 0; it is faulty, export it again"
                )

    def scores(self, info: ModelInfo) -> list[FrameScore]:
        """One score per image, in order; `info` names the statuses."""
        return [self._score(i, info) for i in range(len(self.statuses))]

    def _score(self, i: int, info: ModelInfo) -> FrameScore:
        ok = self.statuses[i] == 0
        fake_probability = float(self.fake_probabilities[i]) if ok else None
        members = tuple(self.members[i].tolist()) if ok and self.members is not None else ()
        found = self.faces[i][np.isfinite(self.faces[i]).all(axis=1)].tolist()
        return FrameScore(
            status=OK if ok else info.status_name(int(self.statuses[i])),
            fake_probability=fake_probability,
            probabilities=tuple(self.probabilities[i].tolist()) if ok else None,
            faces=tuple(
                Face((x0, y0, x1, y1), score) if number else Face((x0, y0, x1, y1), score, fake_probability, members)
                for number, (x0, y0, x1, y1, score) in enumerate(found)
            ),
            members=members,
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
