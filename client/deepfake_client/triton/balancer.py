"""Which of several servers takes the next request: the least busy one that works and serves the wanted release.

Servers may come and go while requests are under way.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn

from deepfake_client.errors import DeadlineExceededError, ModelNotServedError, ServerUnavailableError, ServiceError
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline
from deepfake_client.triton.balanced_server import FIRST_REST_S, LONGEST_REST_S, E, Member

_DESCRIBE_TIMEOUT_S = 5.0
"""How long one of several servers may take to describe itself before the next one is asked."""


@dataclass(frozen=True)
class Lease(Generic[E]):
    """The right to send one request to a server. Exactly one of its methods ends it.

    Attributes:
        info: Description of what the server serves.
    """

    info: ModelInfo
    _member: Member[E]
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

    def __init__(self, endpoints: Sequence[E] = ()) -> None:
        """Asks nothing yet.

        Args:
            endpoints: The servers at first; `follow` changes them.
        """
        self._members: tuple[Member[E], ...] = tuple(Member(endpoint) for endpoint in endpoints)
        self._lock = threading.Lock()

    @property
    def endpoints(self) -> tuple[E, ...]:
        """The servers."""
        return tuple(member.endpoint for member in self._members)

    def follow(self, urls: Iterable[str], make: Callable[[str], E]) -> None:
        """Goes on with these servers. Those that were there keep what is known of them.

        A server that is none of them any more gets no further request; it is closed after its last one.

        Args:
            urls: `Endpoint.url` of each.
            make: Makes the endpoint of a server that was not there.
        """
        with self._lock:
            there = {member.endpoint.url: member for member in self._members}
            self._members = tuple(there.pop(url) if url in there else Member(make(url)) for url in dict.fromkeys(urls))
            for member in there.values():
                member.gone = True
            idle = [member for member in there.values() if not member.in_flight]
        for member in idle:
            member.endpoint.close()

    def is_replaced(self, release_id: str) -> bool:
        """Whether every server is known to serve another release than this one, which is then nowhere."""
        with self._lock:
            infos = [member.info for member in self._members]
        return bool(infos) and all(info is not None and info.release_id != release_id for info in infos)

    def info(self, deadline: Deadline) -> ModelInfo:
        """Description of a release that is served now.

        Raises:
            ServiceError: No server answers.
        """
        lease = self.take(deadline)
        if lease is None:
            raise ServerUnavailableError("the servers changed while they were asked")
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
                info = self._describe(member, deadline, max(len(self._members) - len(asked), 0))
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
        if not self._members:
            raise ServerUnavailableError("no address of a Triton server is known")
        if errors and len(errors) >= len(self._members):
            _raise_first_retryable(errors)
        return None

    def _pick(self, release_id: str | None, asked: set[int]) -> Member[E] | None:
        """The best server not asked yet, with one more request under way."""
        now = time.monotonic()
        with self._lock:
            left = [member for member in self._members if id(member) not in asked]
            candidates = [m for m in left if m.may_serve(release_id, now)]
            if not candidates:
                return None
            best = min(candidates, key=lambda member: (member.rest_s(now), member.in_flight, member.sent))
            if best.rest_s(now) > 0 and any(m.serves_another(release_id, now) for m in self._members):
                return None  # those that have the release fail, others work
            best.in_flight += 1
            best.sent += 1
            return best

    def _describe(self, member: Member[E], deadline: Deadline, others: int) -> ModelInfo:
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
                    member.sent = max((other.sent for other in self._members), default=0)
                member.info, member.described_at = info, time.monotonic()
                if not member.scores_fail:  # a server with a dead model process describes itself well
                    member.failures, member.rests_until = 0, 0.0
            return info
        finally:
            member.describing.release()

    def _read(self, member: Member[E], timeout_s: float) -> ModelInfo:
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

    def _known(self, member: Member[E]) -> ModelInfo | None:
        with self._lock:
            return member.known(time.monotonic())

    def _succeeded(self, member: Member[E]) -> None:
        with self._lock:
            member.failures, member.rests_until, member.scores_fail = 0, 0.0, False
        self._ended(member)

    def _returned(self, member: Member[E]) -> None:
        with self._lock:
            member.sent -= 1
        self._ended(member)

    def _ended(self, member: Member[E]) -> None:
        with self._lock:
            member.in_flight -= 1
            last = member.gone and not member.in_flight
        if last:
            member.endpoint.close()

    def _failed(self, member: Member[E], error: BaseException, scoring: bool) -> None:
        now = time.monotonic()
        with self._lock:
            member.scores_fail |= scoring
            if isinstance(error, ServerUnavailableError | ModelNotServedError):
                member.info = None  # what comes back may be another release
            if len(self._members) > 1:
                # Requests that were under way together fail together: that is one failure, not several.
                if now >= member.rests_until:
                    member.failures += 1
                member.rests_until = now + min(FIRST_REST_S * 2 ** (member.failures - 1), LONGEST_REST_S)
        self._ended(member)


class _AskedByAnotherError(Exception):
    """The server did not answer, or not in time, the question of another thread that this one waited for."""

    def __init__(self, reason: ServiceError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _raise_first_retryable(errors: Sequence[ServiceError]) -> NoReturn:
    raise next((error for error in errors if error.retryable), errors[0])
