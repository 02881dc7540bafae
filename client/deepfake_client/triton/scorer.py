"""Scores frames on Triton servers.

A call's frames go out as several requests, a few at once, because Triton never splits one over its model instances,
because the Python backend's shared memory grows with the largest request and never shrinks, and because each request
under way holds copies of its frames.
"""

import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from deepfake_client.errors import (
    DeadlineExceededError,
    DetectorClosedError,
    ModelNotServedError,
    OverloadedError,
    PreprocessUnavailableError,
    ReleasesDifferError,
    ServerUnavailableError,
    ServiceError,
)
from deepfake_client.pictures import Box
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import (
    Deadline,
    FrameScore,
    ModelOutputs,
    NoObserver,
    RequestObserver,
    Scoring,
)
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.endpoint import PendingAnswer, Question, Role, TritonEndpoint
from deepfake_client.triton.stages import EncodedImage, Steps, in_one_stage, in_two_stages
from deepfake_client.triton.target import parse_target

T = TypeVar("T")

_INFO_FRESH_S = 30.0
"""How old a description may be: a server can be restarted on another release between two requests."""

_ROUNDS = 10
"""How often the servers are asked for one release's answers to all frames of a call, while they have several."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0

_ANOTHER_ANSWERS_WITHIN_S = 5.0
"""How long tries go on where there are several servers: some of them hit one that fails until it is left out."""

_CLASSIFIER = Role("the classifier", refused=ReleasesDifferError)
_PREPROCESS = Role("the preprocess pool", PreprocessUnavailableError, ReleasesDifferError)
"""Where each has servers of its own: another release's may want pixels of another size, or not say which it is."""

_LOOK_UP_S = 0.5
"""How often a wait for answers looks whether the request was cancelled."""


class TritonScorer:
    """Scores frames on Triton servers. Thread-safe.

    Connects at the first call, and anew after a fork or where it was unpickled.
    """

    def __init__(
        self,
        target: str | Sequence[str],
        settings: ClientSettings | None = None,
        observer: RequestObserver | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            target: Where the servers are; see `triton.target.FORMS`. The frames of one call are all scored by the same
                release, whichever servers take part.
            settings: Model name, chunk limits, retries, and where the servers are that only preprocess.
            observer: Told of every inference request.

        Raises:
            ConfigurationError: The target is no address.
        """
        self._settings = settings or ClientSettings()
        self._observer = observer or NoObserver()
        pool_url = self._settings.preprocess_url
        self._endpoint = TritonEndpoint(
            parse_target(target), self._settings, self._observer, _CLASSIFIER if pool_url else Role()
        )
        self._endpoints = [self._endpoint]
        if pool_url:
            self._endpoints.append(TritonEndpoint(parse_target(pool_url), self._settings, self._observer, _PREPROCESS))
        self._has_several = any(endpoint.has_several for endpoint in self._endpoints)
        self._longest_pause_s = _LONGEST_PAUSE_S / (4 if self._has_several else 1)
        self._described: dict[int | None, tuple[float, ModelInfo]] = {}
        self._closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return TritonScorer, (self._endpoint.url, self._settings, self._observer)

    def info(self, deadline: Deadline) -> ModelInfo:
        """Description of a release that is served now. See `FrameScorer.info`."""
        if self._closed:
            raise DetectorClosedError
        return self._known(None) or self._with_retries(lambda: self._read_info(deadline), deadline)

    def server_id(self, deadline: Deadline) -> str:
        """See `FrameScorer.server_id`."""
        return " ".join(endpoint.server_id(self._patience_s(deadline, endpoint)) for endpoint in self._endpoints)

    def completed_requests(self, timeout_s: float, model: str = "") -> int:
        """See `TritonEndpoint.completed_requests`; by default of the ensemble."""
        return self._endpoint.completed_requests(timeout_s, model or self._settings.model)

    def score(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        request_id: str = "",
        face_boxes_px: Sequence[Box | None] | None = None,
    ) -> Scoring:
        """Scores encoded images. See `FrameScorer.score`.

        Scoring changes nothing on a server, so requests that failed for a reason that may pass are sent again within
        the deadline. Where servers have different releases, requests are sent again until one release has answered all.
        """
        if not images:
            return Scoring(self.info(deadline), [])
        pairs = list(zip(images, face_boxes_px or [None] * len(images), strict=True))
        job = _Job(list(chunks_of(pairs, self._settings.chunk_frames, self._settings.chunk_bytes)))
        for round_ in range(_ROUNDS):
            if round_ == _ROUNDS // 2:
                job.answers.clear()  # the release that began may be gone
            self._with_retries(lambda: self._score_missing(job, deadline, request_id), deadline)
            if job.is_of_one_release():
                return Scoring(info := self._info_of(job.export_id, deadline), job.scores(info))
        servers = " and ".join(endpoint.name for endpoint in self._endpoints)
        raise ReleasesDifferError(f"the servers at {servers} have different releases, and no one answered all requests")

    def close(self) -> None:
        """Closes the channels; calls under way fail, and so does every later one."""
        self._closed = True
        for endpoint in self._endpoints:
            endpoint.close()

    def _info_of(self, export_id: int | None, deadline: Deadline) -> ModelInfo:
        """Description of the release that answered; of any where no image reached a classifier."""
        if known := self._known(export_id):
            return known
        described = 0
        for _ in range(_ROUNDS):
            info = self._with_retries(lambda: self._read_info(deadline), deadline)
            described = info.export_id
            if export_id in (None, described):
                return info
        raise ServerUnavailableError(
            f"{self._endpoint.url} answers as export {export_id} and describes itself as {described}: it is being "
            "replaced, or its release was put together by hand"
        )

    def _known(self, export_id: int | None) -> ModelInfo | None:
        """What was read lately: of this export, or the last one."""
        read_at, info = self._described.get(export_id, (0.0, None))
        return info if info and time.monotonic() - read_at < _INFO_FRESH_S else None

    def _read_info(self, deadline: Deadline) -> ModelInfo:
        info = self._endpoint.read_info(self._patience_s(deadline, self._endpoint))
        self._described[None] = self._described[info.export_id] = (time.monotonic(), info)
        return info

    def _with_retries(self, call: Callable[[], T], deadline: Deadline) -> T:
        """Calls again, after random and growing pauses, after failures that may pass; the deadline bounds the whole."""
        began = time.monotonic()
        for attempt in itertools.count(1):
            try:
                return call()
            except ServiceError as error:
                if self._closed:
                    raise DetectorClosedError from None
                if isinstance(error, ServerUnavailableError):  # what comes back may be elsewhere, or another release
                    for endpoint in self._endpoints:
                        endpoint.look_up_again()
                    self._described.clear()
                pause_s = random.uniform(0, min(_FIRST_PAUSE_S * 2 ** (attempt - 1), self._longest_pause_s))
                waited_s = time.monotonic() - began
                tried_enough = attempt >= self._settings.attempts and waited_s >= self._patience_with(error)
                if not self._may_pass(error) or tried_enough or not deadline.has_s(pause_s):
                    raise
            deadline.sleep(pause_s)
        raise AssertionError("unreachable")

    def _may_pass(self, error: ServiceError) -> bool:
        """Whether another try may help: where there are several servers, another one may answer."""
        of_one_server = isinstance(error, DeadlineExceededError | ModelNotServedError)
        return error.retryable or (self._has_several and of_one_server)

    def _patience_with(self, error: ServiceError) -> float:
        """How many seconds tries go on, whatever their number, after such an error."""
        if isinstance(error, OverloadedError):
            return self._settings.overload_wait_s
        return max(self._settings.outage_wait_s, _ANOTHER_ANSWERS_WITHIN_S if self._has_several else 0.0)

    def _patience_s(self, deadline: Deadline, endpoint: TritonEndpoint) -> float:
        """How long one request may take: with other servers to try, half of what is left, since one can hang."""
        return deadline.remaining_s() / (2 if endpoint.has_several else 1)

    def _steps(self, chunk: Sequence[EncodedImage], deadline: Deadline, request_id: str) -> Steps:
        """The requests that score a chunk."""

        def ask(endpoint: TritonEndpoint, question: Question[Any]) -> PendingAnswer[Any]:
            return endpoint.ask(question, self._patience_s(deadline, endpoint), request_id)

        ask_classifier, *ask_preprocess = (partial(ask, endpoint) for endpoint in self._endpoints)
        if ask_preprocess:
            return in_two_stages(chunk, ask_preprocess[0], ask_classifier)
        return in_one_stage(chunk, self._settings.model, ask_classifier)

    def _score_missing(self, job: "_Job", deadline: Deadline, request_id: str) -> None:
        """Has each chunk that has no answer yet scored once, a few at a time, and adds the answers; raises a failure.

        A failure that may pass does not keep the other chunks from being scored; any other one ends the call.
        """
        waiting = deque(job.missing)
        under_way: _UnderWay = {}
        failure: ServiceError | None = None
        try:
            while waiting or under_way:
                try:
                    while waiting and len(under_way) < self._settings.requests_in_flight:
                        number = waiting.popleft()
                        steps = self._steps(job.chunks[number], deadline, request_id)
                        pending = next(steps)
                        under_way[pending.arrived] = number, steps, pending
                    for arrived in _first_of(under_way, deadline):
                        number, steps, pending = under_way.pop(arrived)
                        try:
                            pending = steps.send(pending.answer())
                            under_way[pending.arrived] = number, steps, pending
                        except StopIteration as end:
                            job.answers[number] = end.value
                except ServiceError as error:
                    if not self._may_pass(error) or not deadline.has_s(0):
                        raise
                    failure = error
        finally:
            for _, _, pending in under_way.values():
                pending.cancel()
        if failure is not None:
            raise failure


@dataclass
class _Job:
    """The chunks of one call, and the answers that there are so far, by the chunk's number."""

    chunks: list[list[EncodedImage]]
    answers: dict[int, ModelOutputs] = field(default_factory=dict)
    export_id: int | None = None

    @property
    def missing(self) -> list[int]:
        """Numbers of the chunks without an answer."""
        return [number for number in range(len(self.chunks)) if number not in self.answers]

    def is_of_one_release(self) -> bool:
        """Whether one release gave all answers, whose `export_id` is then set; if not, the fewer ones are dropped.

        Images that never reached a classifier have the export id 0, which says nothing.
        """
        exports = {number: outputs.releases for number, outputs in self.answers.items()}
        frequent = Counter(itertools.chain.from_iterable(exports.values())).most_common()
        self.export_id = frequent[0][0] if frequent else None
        for number, export_ids in exports.items():
            if export_ids - {self.export_id}:
                del self.answers[number]
        return not self.missing

    def scores(self, info: ModelInfo) -> list[FrameScore]:
        """The scores of all chunks."""
        return [score for number in range(len(self.chunks)) for score in self.answers[number].scores(info)]


_UnderWay = dict["Future[Any]", tuple[int, Steps, PendingAnswer[Any]]]
"""A chunk's number, its steps, and the request of the present one."""


def _first_of(under_way: _UnderWay, deadline: Deadline) -> "set[Future[Any]]":
    """The answers that have arrived; waits until there is one."""
    while True:
        done, _ = wait(under_way, timeout=min(deadline.remaining_s(), _LOOK_UP_S), return_when=FIRST_COMPLETED)
        if done:
            return done


def chunks_of(images: Sequence[EncodedImage], max_frames: int, max_bytes: int) -> Iterator[list[EncodedImage]]:
    """The images in order, cut into requests of so many frames and bytes; an image that is larger goes alone."""
    chunk: list[EncodedImage] = []
    size = 0
    for image, box in images:
        if chunk and (len(chunk) == max_frames or size + len(image) > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append((image, box))
        size += len(image)
    if chunk:
        yield chunk
