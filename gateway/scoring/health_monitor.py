"""Whether a real inference can be served now.

Triton's own ready flag stays true with a dead model process, so the only proof is a scored image: one of a caller's,
not long ago, or else a canary's.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

from deepfake_client import (
    DeadlineExceededError,
    DetectionError,
    ModelFaultError,
    ModelInfo,
    ModelNotServedError,
    ServerUnavailableError,
)
from deepfake_client.scorer import OK, Deadline, FrameScorer, Scoring
from deepfake_client.triton.canary import canary_image

_LOG = logging.getLogger("gateway")
_NO_ANSWER = DeadlineExceededError.code


class WatchedScorer:
    """A scorer that remembers when an image was last scored, and forgets it when the service turns out to be broken.

    Refusals for overload and missed deadlines leave the memory alone: a busy server is not a broken one.
    """

    def __init__(self, scorer: FrameScorer) -> None:
        self._scorer = scorer
        self.scored_at: float | None = None
        self.known_info: ModelInfo | None = None

    def info(self, deadline: Deadline) -> ModelInfo:
        """See `FrameScorer.info`."""
        self.known_info = self._scorer.info(deadline)
        return self.known_info

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """See `FrameScorer.score`."""
        try:
            scoring = self._scorer.score(images, deadline, request_id)
        except (ServerUnavailableError, ModelNotServedError, ModelFaultError):
            self.scored_at = None
            raise
        self.known_info = scoring.info
        if any(score.status == OK for score in scoring.scores):
            self.scored_at = time.monotonic()
        return scoring

    def close(self) -> None:
        """See `FrameScorer.close`."""
        self._scorer.close()


@dataclass(frozen=True)
class Health:
    """The answer of a check.

    Attributes:
        healthy: Whether an inference can be served.
        info: The model's identity as last read, None if it never was.
        reason: Upper-case code of what is wrong, None when healthy.
    """

    healthy: bool
    info: ModelInfo | None
    reason: str | None = None


class HealthMonitor:
    """Answers health checks; those that come at once share one canary. Thread-safe."""

    def __init__(self, scorer: WatchedScorer, fresh_s: float, canary_timeout_s: float) -> None:
        self._scorer = scorer
        self._fresh_s = fresh_s
        self._canary_timeout_s = canary_timeout_s
        self._lock = threading.Lock()
        self._running: Future[Health] | None = None

    def check(self) -> Health:
        """Healthy after a recent success, else as the canary says. Takes little longer than the canary's limit."""
        own: Future[Health] | None = None
        with self._lock:
            fresh = self._is_fresh()
            if not fresh and self._running is None:
                own = self._running = Future()
            running = self._running
        if fresh:
            return Health(True, self._current_info())
        if own is not None:
            try:
                own.set_result(self._run_canary())
            finally:
                with self._lock:
                    self._running = None
            return own.result()
        try:
            return running.result(timeout=self._canary_timeout_s) if running else self._unhealthy(_NO_ANSWER)
        except FutureTimeoutError:
            return self._unhealthy(_NO_ANSWER)

    def _is_fresh(self) -> bool:
        scored_at = self._scorer.scored_at
        return scored_at is not None and time.monotonic() - scored_at < self._fresh_s

    def _current_info(self) -> ModelInfo | None:
        try:
            return self._scorer.info(Deadline(self._canary_timeout_s))
        except DetectionError:
            return self._scorer.known_info

    def _unhealthy(self, reason: str) -> Health:
        return Health(False, self._scorer.known_info, reason)

    def _run_canary(self) -> Health:
        deadline = Deadline(self._canary_timeout_s)
        try:
            scoring = self._scorer.score([canary_image()], deadline, "health-canary")
            (score,) = scoring.scores
        except DetectionError as error:
            _LOG.warning("canary failed: %s: %s", type(error).__name__, error)
            return self._unhealthy(error.code)
        except Exception:
            # An answer so odd that the client has no error for it is no proof of health either.
            _LOG.exception("canary failed")
            return self._unhealthy("CANARY_FAILED")
        if score.status != OK:
            _LOG.warning("canary was not scored: %s", score.status)
            return self._unhealthy("CANARY_NOT_SCORED")
        return Health(True, scoring.info)
