"""Whether a real inference can be served now.

Triton's own ready flag stays true with a dead model process, so the only proof is a scored image: one of a caller's,
not long ago, or else a canary's.
"""

import logging
import threading
import time
from dataclasses import dataclass

from deepfake_client import DeadlineExceededError, DetectionError, ModelInfo
from deepfake_client.pictures import canary_image
from deepfake_client.scorer import OK, Deadline
from gateway.scoring.caching_scorer import CachingScorer

_LOG = logging.getLogger("gateway")


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

    def __init__(self, scorer: CachingScorer, fresh_s: float, canary_timeout_s: float) -> None:
        self._scorer = scorer
        self._fresh_s = fresh_s
        self._canary_timeout_s = canary_timeout_s
        self._lock = threading.Lock()
        self._last: Health | None = None
        self._checked_at = 0.0

    def check(self) -> Health:
        """Healthy after a recent success, else as the canary says. Takes little longer than the canary's limit."""
        if self._is_fresh():
            self._last = Health(True, self._current_info())
            return self._last
        began_at = time.monotonic()
        if not self._lock.acquire(timeout=self._canary_timeout_s):
            return self._unhealthy(DeadlineExceededError.code)
        try:
            if self._last is None or self._checked_at < began_at:  # else another check's canary has ended meanwhile
                self._last = self._run_canary()
                self._checked_at = time.monotonic()
            return self._last
        finally:
            self._lock.release()

    def last_known(self) -> Health | None:
        """What is known without an inference: a recent success, else the last check's answer; None before the first."""
        return Health(True, self._scorer.known_info) if self._is_fresh() else self._last

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
        try:
            scoring = self._scorer.ask([canary_image()], Deadline(self._canary_timeout_s), "health-canary")
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
