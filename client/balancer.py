"""Which of several servers takes the next request: the least busy one that works and serves the wanted release."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NoReturn, Protocol, TypeVar

from client.errors import DeadlineExceededError, ModelNotServedError, ServerUnavailableError, ServiceError
from client.model_info import ModelInfo
from client.scorer import Deadline

_INFO_FRESH_S = 30.0
"""How old a description may be: a server can be restarted on another release between two requests."""

_DESCRIBE_TIMEOUT_S = 5.0
"""How long one of several servers may take to describe itself before the next one is asked."""

_FIRST_REST_S = 0.25
_LONGEST_REST_S = 5.0


class Endpoint(Protocol):
    """What a balancer needs of a server."""

    url: str

    def read_info(self, timeout_s: float) -> ModelInfo:
        """Description of the served release."""


E = TypeVar("E", bound=Endpoint)


@dataclass
class _Member(Generic[E]):
    """A server and what is known of it. `describing` guards what follows it, the balancer's lock the rest."""

    endpoint: E
    info: ModelInfo | None = None
    described_at: float = 0.0
    in_flight: int = 0
    sent: int = 0
    failures: int = 0
    scores_fail: bool = False
    rests_until: float = 0.0
    describing: threading.Lock = field(default_factory=threading.Lock)
    asked: int = 0
    last_error: ServiceError | None = None

    def rest_s(self, now: float) -> float:
        """How long the server should be left alone: after a failure, one request at a time finds out if it is back."""
        if self.failures and self.in_flight:
            return _LONGEST_REST_S
        return max(self.rests_until - now, 0.0)

    def serves_another(self, release_id: str | None, now: float) -> bool:
        """Whether it works and is known to serve another release than the wanted one."""
        if release_id is None or self.info is None:
            return False
        return self.info.release_id != release_id and self.rest_s(now) == 0


@dataclass(frozen=True)
class Lease(Generic[E]):
    """The right to send one request to a server. Exactly one of its methods ends it.

    Attributes:
        info: Description of what the server serves.
    """

    info: ModelInfo
    _member: _Member[E]
    _balancer: "Balancer[E]"

    @property
    def endpoint(self) -> E:
        """The server."""
        return self._member.endpoint

    def succeeded(self) -> None:
        """The server answered."""
        self._balancer._succeeded(self._member)

    def failed(self, error: BaseException) -> None:
        """The request failed; how decides whether the server is left alone for a while."""
        self._balancer._failed(self._member, error, scoring=True)

    def returned(self) -> None:
        """Nothing was sent, or nobody waits for the answer any more: that says nothing about the server."""
        self._balancer._returned(self._member)


class Balancer(Generic[E]):
    """Spreads requests over servers. Thread-safe.

    Of the servers that serve a release, the one with the fewest requests under way is taken, of these the one that has
    had the fewest: equal servers get equal shares, and a slower one gets fewer. A server that fails rests for a while
    that doubles up to 5 s and ends with its next success. A single server never rests.
    """

    def __init__(self, endpoints: Sequence[E]) -> None:
        """Asks nothing yet.

        Raises:
            ValueError: There is no endpoint.
        """
        if not endpoints:
            raise ValueError("a balancer needs at least one endpoint")
        self._members = [_Member(endpoint) for endpoint in endpoints]
        self._lock = threading.Lock()

    def info(self, deadline: Deadline) -> ModelInfo:
        """Description of a release that is served now.

        Raises:
            ServiceError: No server answers.
        """
        lease = self.take(deadline)
        assert lease is not None, "any release will do"
        lease.returned()
        return lease.info

    def take(self, deadline: Deadline, release_id: str | None = None) -> Lease[E] | None:
        """The server for the next request.

        Args:
            deadline: Bounds the questions to servers that are not known yet.
            release_id: The release that must answer; any by default.

        Returns:
            None where servers answer, but none of them serves the release.

        Raises:
            ServiceError: No server answers.
            DeadlineExceededError: The deadline passed.
        """
        asked: set[int] = set()
        errors: list[ServiceError] = []
        deadline.remaining_s()
        while (member := self._pick(release_id, asked)) is not None:
            asked.add(id(member))
            try:
                info = self._describe(member, deadline, len(self._members) - len(asked))
            except _AskedByAnotherError as error:  # counted where it was found out
                self._returned(member)
                deadline.remaining_s()
                errors.append(error.reason)
                continue
            except ServiceError as error:
                self._failed(member, error, scoring=False)
                deadline.remaining_s()
                errors.append(error)
                continue
            except BaseException:
                self._returned(member)
                raise
            if release_id is None or info.release_id == release_id:
                return Lease(info, member, self)
            self._returned(member)
        if len(errors) == len(self._members):
            _raise_first_retryable(errors)
        return None

    def _pick(self, release_id: str | None, asked: set[int]) -> _Member[E] | None:
        """The best server not asked yet, with one more request under way."""
        now = time.monotonic()
        with self._lock:
            left = [member for member in self._members if id(member) not in asked]
            candidates = [m for m in left if m.info is None or release_id in (None, m.info.release_id)]
            if not candidates:
                return None
            best = min(candidates, key=lambda member: (member.rest_s(now), member.in_flight, member.sent))
            if best.rest_s(now) > 0 and any(m.serves_another(release_id, now) for m in self._members):
                return None  # those that have the release fail, others work
            best.in_flight += 1
            best.sent += 1
            return best

    def _describe(self, member: _Member[E], deadline: Deadline, others: int) -> ModelInfo:
        """The member's description: as known, or read; one thread asks and the others wait for its answer.

        Raises:
            ServiceError: It does not answer, within its share of the time where `others` have not been asked yet.
            _AskedByAnotherError: It did not answer the thread that was waited for.
        """
        info = self._known(member)
        if info is not None:
            return info
        asked_before = member.asked
        if not member.describing.acquire(timeout=deadline.remaining_s() / (others + 1)):
            raise _AskedByAnotherError(DeadlineExceededError(f"no answer within {deadline.timeout_s:g} s"))
        try:
            info = self._known(member)
            if info is not None:
                return info
            if member.asked != asked_before and member.last_error is not None:
                raise _AskedByAnotherError(member.last_error)
            info = self._read(member, deadline.remaining_s() / (others + 1))
            with self._lock:
                if member.info is None:  # a newcomer has no claim to what the others have already had
                    member.sent = max(other.sent for other in self._members)
                member.info, member.described_at = info, time.monotonic()
                if not member.scores_fail:  # a server with a dead model process describes itself well
                    member.failures, member.rests_until = 0, 0.0
            return info
        finally:
            member.describing.release()

    def _read(self, member: _Member[E], timeout_s: float) -> ModelInfo:
        if len(self._members) > 1:
            timeout_s = min(timeout_s, _DESCRIBE_TIMEOUT_S)
        member.last_error = None
        try:
            return member.endpoint.read_info(timeout_s)
        except ServiceError as error:
            member.last_error = error
            raise
        finally:
            member.asked += 1

    def _known(self, member: _Member[E]) -> ModelInfo | None:
        with self._lock:
            fresh = time.monotonic() - member.described_at < _INFO_FRESH_S
            return member.info if fresh else None

    def _succeeded(self, member: _Member[E]) -> None:
        with self._lock:
            member.in_flight -= 1
            member.failures, member.rests_until, member.scores_fail = 0, 0.0, False

    def _returned(self, member: _Member[E]) -> None:
        with self._lock:
            member.in_flight -= 1
            member.sent -= 1

    def _failed(self, member: _Member[E], error: BaseException, scoring: bool) -> None:
        now = time.monotonic()
        with self._lock:
            member.in_flight -= 1
            member.scores_fail |= scoring
            if isinstance(error, ServerUnavailableError | ModelNotServedError):
                member.info = None  # what comes back may be another release
            if len(self._members) > 1:
                # Requests that were under way together fail together: that is one failure, not several.
                if now >= member.rests_until:
                    member.failures += 1
                member.rests_until = now + min(_FIRST_REST_S * 2 ** (member.failures - 1), _LONGEST_REST_S)


class _AskedByAnotherError(Exception):
    """The server did not answer, or not in time, the question of another thread that this one waited for."""

    def __init__(self, reason: ServiceError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _raise_first_retryable(errors: Sequence[ServiceError]) -> NoReturn:
    raise next((error for error in errors if error.retryable), errors[0])
