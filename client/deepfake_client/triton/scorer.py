"""Scores frames on one Triton server or several.

A call's frames go out as several requests, a few at once, because Triton never splits one over its model instances,
because the Python backend's shared memory grows with the largest request and never shrinks, and because each request
under way holds copies of its frames.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, wait_random_exponential

from deepfake_client.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DetectionError,
    DetectorClosedError,
    ModelNotServedError,
    OverloadedError,
    ServerUnavailableError,
    ServiceError,
)
from deepfake_client.observer import NoObserver, RequestObserver
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline, Scoring
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.balancer import Balancer
from deepfake_client.triton.endpoint import TritonEndpoint
from deepfake_client.triton.job import Job, Sent, chunks_of, error_code, first_of
from deepfake_client.triton.server_list import ServerList, parse_source

T = TypeVar("T")


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
            urls: host:port of the servers' gRPC endpoints; `dns://name:port` and `file:PATH` stand for as many as
                the name has addresses or the file lists, and are followed when they change. The frames of one call
                are all scored by the same release, whichever servers take part.
            settings: Model name, chunk limits, retries.
            observer: Told of every inference request.

        Raises:
            ConfigurationError: A URL is none of these, or there is none.
        """
        self._settings = settings or ClientSettings()
        self._observer = observer or NoObserver()
        self._balancer: Balancer[TritonEndpoint] = Balancer()
        self._pinned: str | None = None
        self._closed = False
        sources = [parse_source(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not sources:
            raise ConfigurationError("there is no address of a Triton server: give host:port")
        self._servers: ServerList | None = None
        if any(source.changes for source in sources):
            self._servers = ServerList(sources, self._settings.look_up_s, self._use)
        else:
            self._use({url: name for source in sources for url, name in source.look().items()})

    def pin(self, release_id: str | None) -> None:
        """See `PinnableScorer.pin`. A call fails once no server has the release any more."""
        self._pinned = release_id

    def info(self, deadline: Deadline) -> ModelInfo:
        """Description of a release that is served now; read again every half minute and after failures."""
        return self._with_retries(lambda: self._served(self._pinned, deadline), deadline)

    def completed_requests(self, timeout_s: float) -> int:
        """How many requests the ensembles have answered successfully since their servers started.

        Raises:
            ServiceError: A server does not say.
        """
        self._ready(Deadline(timeout_s))
        return sum(endpoint.completed_requests(timeout_s) for endpoint in self._balancer.endpoints)

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """Scores encoded images. See `FrameScorer.score`.

        Scoring changes nothing on a server, so the requests that failed for a reason that may pass are sent again,
        to another server where there is one, within the deadline.
        """
        if not images:
            return Scoring(self.info(deadline), [])
        job = Job(list(chunks_of(images, self._settings.chunk_frames, self._settings.chunk_bytes)))
        self._with_retries(lambda: self._score_missing(job, deadline, request_id), deadline)
        return job.scoring()

    def close(self) -> None:
        """Closes the channels; calls under way fail, and so does every later one."""
        self._closed = True
        if self._servers is not None:
            self._servers.close()
        for endpoint in self._balancer.endpoints:
            endpoint.close()

    def _use(self, servers: Mapping[str, str]) -> None:
        """Goes on with these servers: host:port, and the name of the certificate where it is another one."""

        def make(url: str) -> TritonEndpoint:
            name = self._settings.tls_server_name or servers[url]
            has_own_name = self._settings.tls_ca_file is not None and name
            settings = self._settings.model_copy(update={"tls_server_name": name}) if has_own_name else self._settings
            return TritonEndpoint(url, settings)

        self._balancer.follow(servers, make)

    def _ready(self, deadline: Deadline) -> None:
        """Returns once servers are known.

        Raises:
            DetectorClosedError: The scorer was closed.
            ServiceError: Nobody says where a server is.
        """
        if self._closed:
            raise DetectorClosedError
        if self._servers is not None:
            self._servers.await_first(deadline)

    def _served(self, release_id: str | None, deadline: Deadline) -> ModelInfo:
        """Description of the release, or of any that is served now.

        Raises:
            ServerUnavailableError: No server answers, or none that has the release.
            ModelNotServedError: Every server is known to serve another one.
        """
        self._ready(deadline)
        if release_id is None:
            return self._balancer.info(deadline)
        lease = self._balancer.take(deadline, release_id)
        if lease is None:
            if self._balancer.is_replaced(release_id):
                raise ModelNotServedError(
                    f"no server serves the release {release_id} any more, only another one: serve it again"
                )
            raise ServerUnavailableError(f"no server that answers serves the release {release_id}")
        lease.returned()
        return lease.info

    def _with_retries(self, call: Callable[[], T], deadline: Deadline) -> T:
        """Calls again, with back-off, after failures that may pass; the deadline bounds the whole."""

        def attempt() -> T:
            try:
                return call()
            except ServiceError:
                if self._closed:
                    raise DetectorClosedError from None
                if self._servers is not None:
                    self._servers.hurry()
                raise

        retrying = Retrying(
            stop=lambda state: self._gives_up(state) or _out_of_time(deadline, state),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            retry=retry_if_exception(lambda error: isinstance(error, DetectionError) and error.retryable),
            reraise=True,
        )
        return retrying(attempt)

    def _gives_up(self, state: Any) -> bool:
        """Whether a call has been tried often enough; a server that is away or overloaded may be waited for."""
        error = state.outcome.exception()
        wait_s = 0.0
        if isinstance(error, ServerUnavailableError):
            wait_s = self._settings.outage_wait_s
        elif isinstance(error, OverloadedError):
            wait_s = self._settings.overload_wait_s
        return bool(state.attempt_number >= self._settings.attempts and state.seconds_since_start >= wait_s)

    def _score_missing(self, job: "Job", deadline: Deadline, request_id: str) -> None:
        """Sends each chunk that has no scores yet once, a few at a time, and adds their scores; raises a failure.

        What fails for a reason that may pass does not keep the others from being scored; what cannot pass ends it.
        """
        waiting = deque(job.missing(self._pin_release(job, deadline)))
        under_way: dict[Future[Any], Sent] = {}
        failure: ServiceError | None = None
        try:
            while waiting or under_way:
                try:
                    while waiting and len(under_way) < self._settings.requests_in_flight:
                        sent = self._send(job, waiting.popleft(), deadline, request_id)
                        under_way[sent.pending.arrived] = sent
                    for arrived in first_of(under_way, deadline):
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

    def _pin_release(self, job: "Job", deadline: Deadline) -> ModelInfo:
        """The release that scores the whole job: the one that began it, while a server has it."""
        if self._pinned is None and job.info is not None:
            lease = self._balancer.take(deadline, job.info.release_id)
            if lease is not None:
                lease.returned()
                return lease.info
        return self._served(self._pinned, deadline)

    def _patience_s(self, deadline: Deadline) -> float:
        """How long one request may take: with other servers to try, half of what is left, since one can hang."""
        left_s = deadline.remaining_s()
        return left_s / 2 if len(self._balancer.endpoints) > 1 else left_s

    def _send(self, job: "Job", number: int, deadline: Deadline, request_id: str) -> "Sent":
        assert job.info is not None
        lease = self._balancer.take(deadline, job.info.release_id)
        if lease is None:
            raise ServerUnavailableError(f"no server serves the release {job.info.release_id} any more")
        observed = self._observer.begin(lease.endpoint.url, len(job.chunks[number]), request_id)
        try:
            pending = lease.endpoint.send(job.chunks[number], self._patience_s(deadline), request_id, observed.metadata)
        except BaseException as error:
            lease.failed(error)
            observed.ended(error_code(error))
            raise
        return Sent(number, pending, lease, observed, len(self._balancer.endpoints) > 1)


def _out_of_time(deadline: Deadline, state: Any) -> bool:
    try:
        return deadline.remaining_s() < float(state.upcoming_sleep)
    except DeadlineExceededError:
        return True
