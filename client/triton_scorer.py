"""Scores frames on one Triton server or several.

A call's frames go out as several requests, a few at once, because Triton never splits one over its model instances,
because the Python backend's shared memory grows with the largest request and never shrinks, and because each request
under way holds copies of its frames.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, wait_random_exponential

from client.balancer import Balancer, Lease
from client.errors import (
    DeadlineExceededError,
    DetectionError,
    OverloadedError,
    ServerUnavailableError,
    ServiceError,
)
from client.model_info import ModelInfo
from client.observer import ANSWERED, CANCELLED, NoObserver, ObservedRequest, RequestObserver
from client.scorer import Deadline, FrameScore, Scoring
from client.settings import ClientSettings
from client.triton import PendingAnswer, TritonEndpoint

T = TypeVar("T")

_LOOK_UP_S = 0.5
"""How often a wait for answers looks whether the request was cancelled."""


class TritonScorer:
    """Scores frames on Triton servers. Thread-safe. Connects at the first call, so it may be made before a fork."""

    def __init__(
        self,
        urls: str | Sequence[str],
        settings: ClientSettings | None = None,
        observer: RequestObserver | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            urls: host:port of the servers' gRPC endpoints. The frames of one call are all scored by the same release,
                whichever servers take part.
            settings: Model name, chunk limits, retries.
            observer: Told of every inference request.
        """
        self._settings = settings or ClientSettings()
        self._endpoints = [TritonEndpoint(url, self._settings) for url in ([urls] if isinstance(urls, str) else urls)]
        self._balancer = Balancer(self._endpoints)
        self._observer = observer or NoObserver()

    def info(self, deadline: Deadline) -> ModelInfo:
        """Description of a release that is served now; read again every half minute and after failures."""
        return self._with_retries(lambda: self._balancer.info(deadline), deadline)

    def completed_requests(self, timeout_s: float) -> int:
        """How many requests the ensembles have answered successfully since their servers started.

        Raises:
            ServiceError: A server does not say.
        """
        return sum(endpoint.completed_requests(timeout_s) for endpoint in self._endpoints)

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """Scores encoded images. See `FrameScorer.score`.

        Scoring changes nothing on a server, so the requests that failed for a reason that may pass are sent again,
        to another server where there is one, within the deadline.
        """
        if not images:
            return Scoring(self.info(deadline), [])
        job = _Job(list(_chunks(images, self._settings.chunk_frames, self._settings.chunk_bytes)))
        self._with_retries(lambda: self._score_missing(job, deadline, request_id), deadline)
        return job.scoring()

    def close(self) -> None:
        """Closes the channels."""
        for endpoint in self._endpoints:
            endpoint.close()

    def _with_retries(self, call: Callable[[], T], deadline: Deadline) -> T:
        """Calls again, with back-off, after failures that may pass; the deadline bounds the whole."""
        retrying = Retrying(
            stop=lambda state: self._gives_up(state) or _out_of_time(deadline, state),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            retry=retry_if_exception(lambda error: isinstance(error, DetectionError) and error.retryable),
            reraise=True,
        )
        return retrying(call)

    def _gives_up(self, state: Any) -> bool:
        """Whether a call has been tried often enough; a server that is away or overloaded may be waited for."""
        error = state.outcome.exception()
        wait_s = 0.0
        if isinstance(error, ServerUnavailableError):
            wait_s = self._settings.outage_wait_s
        elif isinstance(error, OverloadedError):
            wait_s = self._settings.overload_wait_s
        return bool(state.attempt_number >= self._settings.attempts and state.seconds_since_start >= wait_s)

    def _score_missing(self, job: "_Job", deadline: Deadline, request_id: str) -> None:
        """Sends each chunk that has no scores yet once, a few at a time, and adds their scores; raises a failure.

        What fails for a reason that may pass does not keep the others from being scored; what cannot pass ends it.
        """
        waiting = deque(job.missing(self._pin_release(job, deadline)))
        under_way: dict[Future[Any], _Sent] = {}
        failure: ServiceError | None = None
        try:
            while waiting or under_way:
                try:
                    while waiting and len(under_way) < self._settings.requests_in_flight:
                        sent = self._send(job, waiting.popleft(), deadline, request_id)
                        under_way[sent.pending.arrived] = sent
                    for arrived in _first_of(under_way, deadline):
                        under_way.pop(arrived).add_to(job, deadline)
                except ServiceError as error:
                    if not error.retryable:
                        raise
                    failure = error
        finally:
            for sent in under_way.values():
                sent.give_up()
        if failure is not None:
            raise failure

    def _pin_release(self, job: "_Job", deadline: Deadline) -> ModelInfo:
        """The release that scores the whole job: the one that began it, while a server has it."""
        lease = self._balancer.take(deadline, job.info.release_id) if job.info else None
        if lease is None:
            return self._balancer.info(deadline)
        lease.returned()
        return lease.info

    def _patience_s(self, deadline: Deadline) -> float:
        """How long one request may take: with other servers to try, half of what is left, since one can hang."""
        left_s = deadline.remaining_s()
        return left_s / 2 if len(self._endpoints) > 1 else left_s

    def _send(self, job: "_Job", number: int, deadline: Deadline, request_id: str) -> "_Sent":
        assert job.info is not None
        lease = self._balancer.take(deadline, job.info.release_id)
        if lease is None:
            raise ServerUnavailableError(f"no server serves the release {job.info.release_id} any more")
        observed = self._observer.begin(lease.endpoint.url, len(job.chunks[number]), request_id)
        try:
            pending = lease.endpoint.send(job.chunks[number], self._patience_s(deadline), request_id, observed.metadata)
        except BaseException as error:
            lease.failed(error)
            observed.ended(_code(error))
            raise
        return _Sent(number, pending, lease, observed, len(self._endpoints) > 1)


@dataclass
class _Job:
    """The chunks of one call, and the scores that there are so far: all from the release `info`."""

    chunks: list[list[bytes]]
    info: ModelInfo | None = None
    scored: dict[int, list[FrameScore]] = field(default_factory=dict)

    def missing(self, info: ModelInfo) -> list[int]:
        """Numbers of the chunks that the release has still to score: all of them if another one began."""
        if self.info is None or self.info.release_id != info.release_id:
            self.scored.clear()
        self.info = info
        return [number for number in range(len(self.chunks)) if number not in self.scored]

    def scoring(self) -> Scoring:
        """The scores of all chunks."""
        assert self.info is not None
        return Scoring(self.info, [score for number in range(len(self.chunks)) for score in self.scored[number]])


@dataclass(frozen=True)
class _Sent:
    """A chunk under way; `others_wait`: it was given part of the time only, since there are other servers."""

    number: int
    pending: PendingAnswer
    lease: Lease[TritonEndpoint]
    observed: ObservedRequest
    others_wait: bool

    def add_to(self, job: _Job, deadline: Deadline) -> None:
        """Adds the scores that have arrived.

        Raises:
            ServiceError: There are none that can be used.
        """
        try:
            scores = self.pending.scores(self.lease.info)
            strangers = {score.export_id for score in scores} - {0, self.lease.info.export_id}
            if strangers:
                raise ServerUnavailableError(
                    f"{self.pending.url} answers as export {strangers.pop()} and describes itself as "
                    f"{self.lease.info.export_id}: it is being replaced, or its release was put together by hand"
                )
        except DeadlineExceededError as error:
            self._failed(error)
            if not self.others_wait:
                raise
            deadline.remaining_s()
            raise ServerUnavailableError(f"{self.pending.url} does not answer") from error
        except BaseException as error:
            self._failed(error)
            raise
        self.lease.succeeded()
        self.observed.ended(ANSWERED)
        job.scored[self.number] = scores

    def give_up(self) -> None:
        """Cancels the request."""
        self.pending.cancel()
        self.lease.returned()
        self.observed.ended(CANCELLED)

    def _failed(self, error: BaseException) -> None:
        self.lease.failed(error)
        self.observed.ended(_code(error))


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, DetectionError) else "INTERNAL"


def _first_of(under_way: "dict[Future[Any], _Sent]", deadline: Deadline) -> "set[Future[Any]]":
    """The answers that have arrived; waits until there is one."""
    while True:
        done, _ = wait(under_way, timeout=min(deadline.remaining_s(), _LOOK_UP_S), return_when=FIRST_COMPLETED)
        if done:
            return done


def _chunks(images: Sequence[bytes], max_frames: int, max_bytes: int) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for image in images:
        if chunk and (len(chunk) == max_frames or size + len(image) > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(image)
        size += len(image)
    if chunk:
        yield chunk


def _out_of_time(deadline: Deadline, state: Any) -> bool:
    try:
        return deadline.remaining_s() < float(state.upcoming_sleep)
    except DeadlineExceededError:
        return True
