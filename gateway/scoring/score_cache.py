"""Identical frames are scored once: a scorer that remembers scores by the frame's bytes, across requests.

Only digests and scores are kept, all of one release. An answer never mixes releases: where its parts turn out to come
from several, all of its frames are scored again in one call.
"""

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

from deepfake_client import ModelInfo, ServiceError
from deepfake_client.scorer import OK, Deadline, FrameScore, FrameScorer, Scoring

_LOG = logging.getLogger("gateway")

_KEPT = frozenset(
    {
        OK, "EMPTY", "NOT_AN_IMAGE", "UNSUPPORTED_FORMAT", "TOO_MANY_BYTES", "TOO_MANY_PIXELS", "DECODE_FAILED",
        "TOO_COMPLEX",
    }
)  # fmt: skip
"""Statuses that are properties of the image: asked again, the same release would answer the same."""

_FRESH_S = 5.0
"""How long a release counts as the served one without being asked for."""

_PATIENCE_S = 1.0
"""How long requests that need nothing else wait for the answer to that question."""

_QUESTION_S = 60.0
"""How long the question may take. Longer than requests do: the client shares a question's failure between them."""

_LOOK_UP_S = 0.5
"""How often a wait for another request's scores looks whether this one was cancelled."""


@dataclass(frozen=True)
class _Part:
    """Scores of one release, by digest."""

    info: ModelInfo
    scores: dict[bytes, FrameScore]


@dataclass
class _Stock:
    """What is there when a request comes: cached scores, scores under way elsewhere, and what it begins to score."""

    cached: _Part | None = None
    elsewhere: dict[bytes, Future[_Part | None]] = field(default_factory=dict)
    begun: list[bytes] = field(default_factory=list)
    flight: Future[_Part | None] = field(default_factory=Future)


class CachingScorer:
    """A scorer that asks another one only for frames whose scores it does not know. Thread-safe.

    The least recently used scores make way for new ones, and all of them for a new release. A request takes scores that
    another one is having computed, but neither its failure nor all of its time: it then asks for them itself.
    """

    def __init__(
        self, scorer: FrameScorer, max_frames: int, looked_up: Callable[[str, int], None] = lambda _result, _count: None
    ) -> None:
        """Takes over the scorer and closes it in `close`.

        Args:
            scorer: Asked for what is not known.
            max_frames: How many scores are remembered at most.
            looked_up: Told how many frames of a call were a `hit`, a `miss`, or `shared`: under way for another call.
        """
        self._scorer = scorer
        self._max_frames = max_frames
        self._looked_up = looked_up
        self._lock = threading.Lock()
        self._info: ModelInfo | None = None
        self._learnt_at = 0.0
        self._changes = 0
        self._scores: OrderedDict[bytes, FrameScore] = OrderedDict()
        self._flights: dict[bytes, Future[_Part | None]] = {}
        self._question: Future[None] | None = None
        self._asked_at = 0.0

    def info(self, deadline: Deadline) -> ModelInfo:
        """See `FrameScorer.info`."""
        changes = self._changes
        info = self._scorer.info(deadline)
        with self._lock:
            self._learn(info, changes)
        return info

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """See `FrameScorer.score`. Where all frames are known, that needs no service."""
        if not images:
            return self._scorer.score(images, deadline, request_id)
        digests = [hashlib.sha256(image).digest() for image in images]
        deadline.remaining_s()
        frames = dict(zip(digests, images, strict=True))
        if self._knows(frames):
            self._ask_for_release(deadline)
        parts = self._gather(frames, deadline, request_id)
        if len({part.info.release_id for part in parts}) > 1:
            parts = [self._have_scored(frames, deadline, request_id)]
        scores = {digest: score for part in parts for digest, score in part.scores.items()}
        return Scoring(parts[-1].info, [scores[digest] for digest in digests])

    def close(self) -> None:
        """See `FrameScorer.close`."""
        self._scorer.close()

    def _gather(self, frames: Mapping[bytes, bytes], deadline: Deadline, request_id: str) -> list[_Part]:
        """Scores of all frames, each part of one release."""
        stock = self._take_stock(frames)
        self._looked_up("hit", len(stock.cached.scores) if stock.cached else 0)
        self._looked_up("miss", len(stock.begun))
        self._looked_up("shared", len(stock.elsewhere))
        parts = [stock.cached] if stock.cached else []
        if stock.begun:
            # Before waiting for others, who may wait for these.
            parts.append(self._fly(stock, frames, deadline, request_id))
        if stock.elsewhere:
            parts += _collect(stock.elsewhere, deadline)
            found = {digest for part in parts for digest in part.scores}
            missing = {digest: frames[digest] for digest in stock.elsewhere if digest not in found}
            if missing:
                parts.append(self._have_scored(missing, deadline, request_id))
        return parts

    def _knows(self, digests: Iterable[bytes]) -> bool:
        with self._lock:
            return all(digest in self._scores for digest in digests)

    def _take_stock(self, digests: Iterable[bytes]) -> _Stock:
        """Sorts the frames by where their scores are, and announces those that nobody has begun yet."""
        with self._lock:
            stock = _Stock()
            known: dict[bytes, FrameScore] = {}
            for digest in digests:
                if digest in self._scores:
                    self._scores.move_to_end(digest)
                    known[digest] = self._scores[digest]
                elif digest in self._flights:
                    stock.elsewhere[digest] = self._flights[digest]
                else:
                    stock.begun.append(digest)
                    self._flights[digest] = stock.flight
            if known and self._info:
                stock.cached = _Part(self._info, known)
        return stock

    def _fly(self, stock: _Stock, frames: Mapping[bytes, bytes], deadline: Deadline, request_id: str) -> _Part:
        """Scores the begun frames; those who wait learn of the scores, or that there are none."""
        part = None
        try:
            part = self._have_scored({digest: frames[digest] for digest in stock.begun}, deadline, request_id)
            return part
        finally:
            with self._lock:
                for digest in stock.begun:
                    del self._flights[digest]
            stock.flight.set_result(part)

    def _have_scored(self, frames: Mapping[bytes, bytes], deadline: Deadline, request_id: str) -> _Part:
        """Asks the scorer, in one call, and remembers."""
        changes = self._changes
        scoring = self._scorer.score(list(frames.values()), deadline, request_id)
        part = _Part(scoring.info, dict(zip(frames, scoring.scores, strict=True)))
        with self._lock:
            if self._learn(part.info, changes):
                for digest, score in part.scores.items():
                    if score.status in _KEPT:
                        self._scores[digest] = score
                        self._scores.move_to_end(digest)
                while len(self._scores) > self._max_frames:
                    self._scores.popitem(last=False)
        return part

    def _learn(self, info: ModelInfo, changes: int) -> bool:
        """Takes note of the release that answered, with the lock held; False for news that another has overtaken.

        Args:
            info: The release.
            changes: How often the release had changed when the scorer was asked.
        """
        if self._info is None or self._info.release_id != info.release_id:
            if changes != self._changes:
                return False
            self._changes += 1
            self._scores.clear()
        self._info = info
        self._learnt_at = time.monotonic()
        return True

    def _ask_for_release(self, deadline: Deadline) -> None:
        """Has the scorer say what is served, unless it did lately: requests that need no scores would never notice.

        A thread asks, so that nobody waits long for a service that is away: what it said last is good until it answers.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._learnt_at < _FRESH_S:
                return
            if self._question is None:
                question: Future[None] = Future()
                threading.Thread(target=self._find_out, args=(question,), name="served-release", daemon=True).start()
                self._question, self._asked_at = question, now
            question, patience_s = self._question, self._asked_at + _PATIENCE_S - now
        wait([question], timeout=max(0.0, min(patience_s, deadline.remaining_s())))

    def _find_out(self, question: Future[None]) -> None:
        try:
            self.info(Deadline(_QUESTION_S))
        except ServiceError as error:
            _LOG.debug("the served release is not known: %s", error)
        except Exception:
            _LOG.exception("the served release is not known")
        finally:
            with self._lock:
                self._question = None
            question.set_result(None)


def _collect(flights: Mapping[bytes, Future[_Part | None]], deadline: Deadline) -> list[_Part]:
    """What other requests have scored of these frames; waits for them half of the time that is left at most."""
    pending = set(flights.values())
    give_up_at = time.monotonic() + deadline.remaining_s() / 2
    while pending and (left_s := give_up_at - time.monotonic()) > 0:
        deadline.remaining_s()
        _, pending = wait(pending, timeout=min(left_s, _LOOK_UP_S))
    parts = []
    for flight in set(flights.values()) - pending:
        if (part := flight.result()) is not None:
            scores = {
                digest: part.scores[digest]
                for digest, its_flight in flights.items()
                if its_flight is flight and part.scores[digest].status in _KEPT
            }
            parts.append(_Part(part.info, scores))
    return parts
