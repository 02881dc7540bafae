"""The frames of one call on their way: cut into requests, sent, and put together again."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from deepfake_client.errors import DeadlineExceededError, DetectionError, ServerUnavailableError
from deepfake_client.observer import ANSWERED, CANCELLED, ObservedRequest
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline, FrameScore, Scoring
from deepfake_client.triton.balancer import Lease
from deepfake_client.triton.endpoint import PendingAnswer, TritonEndpoint

_LOOK_UP_S = 0.5
"""How often a wait for answers looks whether the request was cancelled."""


@dataclass
class Job:
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
class Sent:
    """A chunk under way; `others_wait`: it was given part of the time only, since there are other servers."""

    number: int
    pending: PendingAnswer
    lease: Lease[TritonEndpoint]
    observed: ObservedRequest
    others_wait: bool

    def add_to(self, job: Job, deadline: Deadline) -> None:
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
        self.observed.ended(error_code(error))


def error_code(error: BaseException) -> str:
    """The error's code for programs; INTERNAL for one that is not the client's own."""
    return error.code if isinstance(error, DetectionError) else "INTERNAL"


def first_of(under_way: "dict[Future[Any], Sent]", deadline: Deadline) -> "set[Future[Any]]":
    """The answers that have arrived; waits until there is one."""
    while True:
        done, _ = wait(under_way, timeout=min(deadline.remaining_s(), _LOOK_UP_S), return_when=FIRST_COMPLETED)
        if done:
            return done


def chunks_of(images: Sequence[bytes], max_frames: int, max_bytes: int) -> Iterator[list[bytes]]:
    """The images in order, cut into requests of so many frames and bytes; an image that is larger goes alone."""
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
