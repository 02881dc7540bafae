"""Identical frames are scored once: a scorer that remembers scores by a frame's bytes and face box, across requests.

Only digests and scores are kept, and only until a server is started anew: it may have been repaired. An answer never
mixes releases: where its parts turn out to come from two, all of its frames are scored again in one call.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from cachetools import LRUCache

from deepfake_client import ModelFaultError, ModelInfo, ModelNotServedError, ServerUnavailableError, ServiceError
from deepfake_client.pictures import Box
from deepfake_client.scorer import OK, Deadline, FrameScore, FrameScorer, Scoring
from gateway.observe.telemetry import Telemetry

_LOG = logging.getLogger("gateway")

_KEPT = {
    OK, "EMPTY", "NOT_AN_IMAGE", "UNSUPPORTED_FORMAT", "TOO_MANY_BYTES", "TOO_MANY_PIXELS", "DECODE_FAILED",
    "TOO_COMPLEX", "FACE_BOX_OUTSIDE",
}  # fmt: skip
"""Statuses that are properties of the image: asked again, the same release would answer the same."""

_FRESH_S = 5.0
"""How long a release counts as the served one without being asked for."""

_PATIENCE_S = 1.0
"""How long a request that needs nothing else waits for the answer to that question."""


_Key = tuple[bytes, Box | None]
"""SHA-256 of a frame, and the face box that was given with it."""


class CachingScorer:
    """A scorer that asks another one only for frames whose scores it does not know. Thread-safe.

    The least recently used scores make way for new ones. It also notes what the last inferences prove of the service:
    a remembered score proves nothing, so health is judged by what `ask` has seen.

    Attributes:
        scored_at: When an image was last scored, on the monotonic clock; None before that, and after an error that
            says that the service is broken. Overload and missed deadlines do not say so.
        known_info: The release that was last heard of.
    """

    def __init__(
        self, scorer: FrameScorer, max_frames: int, telemetry: Telemetry, client: Callable[[], str] = lambda: ""
    ) -> None:
        """Takes over the scorer and closes it in `close`.

        Args:
            scorer: Asked for what is not known.
            max_frames: How many scores are remembered at most; 0: none.
            telemetry: Told of the frames that were looked up, and of their scores.
            client: Whose call this is. Nobody gets scores that another client's frames were given: the time of the
                answer would tell him that they were sent.
        """
        self.scored_at: float | None = None
        self.known_info: ModelInfo | None = None
        self._scorer = scorer
        self._client = client
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self._scores: LRUCache[tuple[str, str, _Key], FrameScore] = LRUCache(max_frames)
        self._asked_at = 0.0
        self._changed_at = 0.0
        self._servers: set[str] = set()
        self._servers_asked_at = 0.0

    def info(self, deadline: Deadline) -> ModelInfo:
        """See `FrameScorer.info`."""
        began_at = time.monotonic()
        info = self._scorer.info(deadline)
        self._learn(info, began_at)
        return info

    def score(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        request_id: str = "",
        face_boxes_px: Sequence[Box | None] | None = None,
    ) -> Scoring:
        """See `FrameScorer.score`. Where all frames are known, that needs no service."""
        with self._telemetry.step("score frames"):
            scoring = self._score(images, deadline, request_id, face_boxes_px or [None] * len(images))
        if face_boxes_px is None:  # the others are frames that were counted before
            self._telemetry.metrics.frames(scoring.scores)
        return scoring

    def ask(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        request_id: str = "",
        face_boxes_px: Sequence[Box | None] | None = None,
    ) -> Scoring:
        """Has images scored, whatever is remembered. For the errors see `FrameScorer.score`."""
        began_at = time.monotonic()
        try:
            scoring = self._scorer.score(images, deadline, request_id, face_boxes_px)
        except (ServerUnavailableError, ModelNotServedError, ModelFaultError):
            self.scored_at = None
            self._servers_asked_at = 0.0  # it may be started anew
            raise
        if any(score.status == OK for score in scoring.scores):
            self.scored_at = time.monotonic()
        self._learn(scoring.info, began_at)
        return scoring

    def server_id(self, deadline: Deadline) -> str:
        """See `FrameScorer.server_id`."""
        return self._scorer.server_id(deadline)

    def close(self) -> None:
        """See `FrameScorer.close`."""
        self._scorer.close()

    def _score(
        self, images: Sequence[bytes], deadline: Deadline, request_id: str, boxes_px: Sequence[Box | None]
    ) -> Scoring:
        if not images or not self._scores.maxsize:
            return self.ask(images, deadline, request_id, boxes_px)
        keys: list[_Key] = [(hashlib.sha256(image).digest(), box) for image, box in zip(images, boxes_px, strict=True)]
        deadline.remaining_s()
        frames = dict(zip(keys, images, strict=True))
        self._forget_after_a_start(deadline)
        servers = len(self._servers)
        info, scores = self._look_up(frames)
        if len(scores) == len(frames):
            self._ask_for_release(deadline)
            info, scores = self._look_up(frames)
        missing = {key: image for key, image in frames.items() if key not in scores}
        self._telemetry.metrics.cache.labels("hit").inc(len(scores))
        self._telemetry.metrics.cache.labels("miss").inc(len(missing))
        if missing:
            scoring = self._ask(missing, deadline, request_id)
            if scores and info is not None and scoring.info.release_id != info.release_id:
                missing = frames
                scoring = self._ask(missing, deadline, request_id)
            info = scoring.info
            scores |= zip(missing, scoring.scores, strict=True)
            kept = {key: scores[key] for key in missing if scores[key].status in _KEPT}
            with self._lock:
                if servers == len(self._servers):
                    owner = self._client(), info.release_id
                    self._scores.update({(*owner, key): score for key, score in kept.items()})
        assert info is not None
        return Scoring(info, [scores[key] for key in keys])

    def _ask(self, frames: Mapping[_Key, bytes], deadline: Deadline, request_id: str) -> Scoring:
        return self.ask(list(frames.values()), deadline, request_id, [box for _, box in frames])

    def _look_up(self, keys: Mapping[_Key, object]) -> tuple[ModelInfo | None, dict[_Key, FrameScore]]:
        """The release that is served, as far as is known, and what it has said of these frames."""
        with self._lock:
            info = self.known_info
            if info is None:
                return None, {}
            owner = self._client(), info.release_id
            found = {key: self._scores.get((*owner, key)) for key in keys}
            return info, {key: score for key, score in found.items() if score is not None}

    def _learn(self, info: ModelInfo, asked_at: float) -> None:
        """Takes note of the release that answered, unless a later answer has told of another one."""
        with self._lock:
            changed = self.known_info is None or self.known_info.release_id != info.release_id
            if changed and asked_at < self._changed_at:
                return
            if changed:
                self._changed_at = time.monotonic()
            self.known_info = info
            self._asked_at = time.monotonic()

    def _forget_after_a_start(self, deadline: Deadline) -> None:
        """Forgets all scores when a server answers that has not been heard of. Asks now and then only."""
        with self._lock:
            if time.monotonic() - self._servers_asked_at < _FRESH_S:
                return
            self._servers_asked_at = time.monotonic()  # the others that come meanwhile do not wait
        try:
            servers = set(self._scorer.server_id(Deadline(min(_PATIENCE_S, deadline.remaining_s()))).split())
        except ServiceError as error:
            _LOG.debug("which server answers is not known: %s", error)
            return
        with self._lock:
            if not servers <= self._servers:
                self._servers |= servers
                self._scores.clear()

    def _ask_for_release(self, deadline: Deadline) -> None:
        """Asks what is served, unless that was asked lately: requests that need no scores would never notice.

        While the service is away, what it said last is good.
        """
        with self._lock:
            if time.monotonic() - self._asked_at < _FRESH_S:
                return
            self._asked_at = time.monotonic()  # the others that come meanwhile do not wait
        try:
            self.info(Deadline(min(_PATIENCE_S, deadline.remaining_s())))
        except ServiceError as error:
            _LOG.debug("the served release is not known: %s", error)
