"""The Triton gRPC client: the only module that imports tritonclient.

A call's frames go out as several requests, a few at once, because Triton never splits one over its model
instances, because the Python backend's shared memory grows with the largest request and never shrinks, and because
each request under way holds copies of its frames.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

import numpy as np
import tritonclient.grpc as triton
from tenacity import Retrying, retry_if_exception, wait_random_exponential
from tritonclient.utils import InferenceServerException

from client.errors import (
    DeadlineExceededError,
    DetectionError,
    ModelFaultError,
    ModelNotServedError,
    OverloadedError,
    ServerUnavailableError,
    ServiceError,
)
from client.model_info import DESCRIPTION_PARAMETER, ModelInfo
from client.scorer import Deadline, FrameScore, frame_scores
from client.settings import ClientSettings

T = TypeVar("T")

_OUTPUTS = ("FAKE_PROBABILITY", "PROBABILITIES", "FACE_BOX", "FACE_SCORE", "EXPORT_ID", "STATUS")
_WIDTHS = {"FAKE_PROBABILITY": 1, "FACE_BOX": 4, "FACE_SCORE": 1, "EXPORT_ID": 1, "STATUS": 1}

# Given channel arguments replace tritonclient's own, which lift the limits of message size.
_CHANNEL_ARGS = (
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    # A restarted server is found again within a second, not after gRPC's default back-off of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Notices a server that vanished without closing its connections.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


class TritonScorer:
    """Scores frames on a Triton server. Thread-safe.

    The gRPC channel is made at the first call and not before, so that an object made before a process forks is of use
    after it.
    """

    def __init__(self, url: str, settings: ClientSettings | None = None) -> None:
        """Connects to nothing yet.

        Args:
            url: host:port of Triton's gRPC endpoint.
            settings: Model name, chunk limits, retries.
        """
        self._url = url
        self._settings = settings or ClientSettings()
        self._lock = threading.Lock()
        self._client: triton.InferenceServerClient | None = None
        self._info: ModelInfo | None = None

    def info(self, deadline: Deadline) -> ModelInfo:
        """The served model's description, asked for once and again when another export answers."""
        info = self._info
        if info is None:
            info = self._info = self._with_retries(lambda: self._read_info(deadline), deadline)
        return info

    def ready(self, timeout_s: float) -> bool:
        """Whether the server says that the ensemble is ready. True can be a lie: only a scored frame is proof."""
        try:
            return bool(self._connection().is_model_ready(self._settings.model, client_timeout=timeout_s))
        except InferenceServerException:
            return False

    def completed_requests(self, timeout_s: float) -> int:
        """How many requests the ensemble has answered successfully since the server started.

        Raises:
            ServiceError: The server does not say.
        """
        try:
            statistics = self._connection().get_inference_statistics(self._settings.model, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise _service_error(error, self._url) from error
        return sum(int(model.inference_stats.success.count) for model in statistics.model_stats)

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> list[FrameScore]:
        """Scores encoded images on the server. See `FrameScorer.score`.

        Scoring changes nothing on the server, so the requests that failed for a reason that may pass are sent again
        within the deadline.
        """
        info = self.info(deadline)
        chunks = list(_chunks(images, self._settings.chunk_frames, self._settings.chunk_bytes))
        scored: dict[int, list[FrameScore]] = {}
        self._with_retries(lambda: self._score_missing(chunks, scored, deadline, request_id, info), deadline)
        scores = [score for number in range(len(chunks)) for score in scored[number]]
        if any(score.export_id not in (0, info.export_id) for score in scores):
            self._info = None  # another release answers now; the next call reads its description
        return scores

    def close(self) -> None:
        """Closes the channel."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connection(self) -> "triton.InferenceServerClient":
        with self._lock:
            if self._client is None:
                proxy = ("grpc.enable_http_proxy", int(self._settings.use_http_proxy))
                self._client = triton.InferenceServerClient(self._url, channel_args=[*_CHANNEL_ARGS, proxy])
            return self._client

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
        """Whether a call has been tried often enough; a server that is away is waited for."""
        away = isinstance(state.outcome.exception(), ServerUnavailableError)
        waited = not away or state.seconds_since_start >= self._settings.outage_wait_s
        return bool(state.attempt_number >= self._settings.attempts and waited)

    def _read_info(self, deadline: Deadline) -> ModelInfo:
        try:
            response = self._connection().get_model_config(self._settings.model, client_timeout=deadline.remaining_s())
        except InferenceServerException as error:
            raise _service_error(error, self._url) from error
        parameters = response.config.parameters
        if DESCRIPTION_PARAMETER not in parameters:
            raise ModelNotServedError(
                f"the model {self._settings.model} at {self._url} was not exported by deepfake-export"
            )
        return ModelInfo.from_json(parameters[DESCRIPTION_PARAMETER].string_value)

    def _score_missing(
        self,
        chunks: list[list[bytes]],
        scored: dict[int, list[FrameScore]],
        deadline: Deadline,
        request_id: str,
        info: ModelInfo,
    ) -> None:
        """Sends each chunk that has no scores yet once, a few at a time, and adds their scores; raises a failure.

        What fails for a reason that may pass does not keep the others from being scored; what cannot pass ends it.
        """
        waiting = deque(number for number in range(len(chunks)) if number not in scored)
        under_way: dict[Future[Any], tuple[int, Any]] = {}
        failure: ServiceError | None = None
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._settings.requests_in_flight:
                    number = waiting.popleft()
                    answer: Future[Any] = Future()
                    under_way[answer] = number, self._send(chunks[number], deadline, request_id, answer)
                done, _ = wait(under_way, timeout=deadline.remaining_s(), return_when=FIRST_COMPLETED)
                for answer in done:
                    number, _ = under_way.pop(answer)
                    try:
                        scored[number] = _parse(_result(answer, self._url), info, len(chunks[number]))
                    except ServiceError as error:
                        if not error.retryable:
                            raise
                        failure = error
        finally:
            for _, call in under_way.values():
                call.cancel()
        if failure is not None:
            raise failure

    def _send(self, chunk: list[bytes], deadline: Deadline, request_id: str, answer: "Future[Any]") -> Any:
        tensor = triton.InferInput("IMAGE", [len(chunk), 1], "BYTES")
        tensor.set_data_from_numpy(np.array(chunk, dtype=np.object_).reshape(-1, 1))

        def arrived(result: Any, error: Any) -> None:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        return self._connection().async_infer(
            self._settings.model,
            [tensor],
            arrived,
            outputs=[triton.InferRequestedOutput(name) for name in _OUTPUTS],
            request_id=request_id,
            client_timeout=deadline.remaining_s(),
        )


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


def _result(answer: "Future[Any]", url: str) -> Any:
    error = answer.exception()
    if error is None:
        return answer.result()
    if isinstance(error, InferenceServerException):
        raise _service_error(error, url) from error
    raise ServerUnavailableError(f"{url}: {error}") from error


def _parse(result: Any, info: ModelInfo, frames: int) -> list[FrameScore]:
    tensors = {name: result.as_numpy(name) for name in _OUTPUTS}
    for name, values in tensors.items():
        if values is None or values.ndim != 2 or values.shape != (frames, _WIDTHS.get(name, values.shape[1])):
            got = "nothing" if values is None else f"shape {values.shape}"
            raise ModelFaultError(
                f"the answer to {frames} frames holds {got} as {name}: not the ensemble of this client"
            )
    return frame_scores(
        info,
        tensors["STATUS"][:, 0],
        tensors["FAKE_PROBABILITY"][:, 0],
        tensors["PROBABILITIES"],
        tensors["FACE_BOX"],
        tensors["FACE_SCORE"][:, 0],
        tensors["EXPORT_ID"][:, 0],
    )


def _out_of_time(deadline: Deadline, state: Any) -> bool:
    try:
        return deadline.remaining_s() < float(state.upcoming_sleep)
    except DeadlineExceededError:
        return True


def _service_error(error: InferenceServerException, url: str) -> ServiceError:
    """The one table from Triton's gRPC status codes to the client's errors."""
    code = str(error.status() or "").removeprefix("StatusCode.")
    message = str(error.message() or "").strip() or "no message"
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceededError(f"no answer from {url} before the deadline")
    if code == "CANCELLED":
        return DeadlineExceededError(f"the request to {url} was cancelled")
    if code == "RESOURCE_EXHAUSTED" or (code == "UNAVAILABLE" and _is_queue_rejection(message)):
        return OverloadedError(f"{url} is overloaded: {message}")
    if code == "UNAVAILABLE" and "Request for unknown model" not in message:
        return ServerUnavailableError(f"no Triton server answers at {url}: {message}")
    if code in ("NOT_FOUND", "UNAVAILABLE", "UNIMPLEMENTED"):
        return ModelNotServedError(f"{url} does not serve the model: {message}")
    if code == "INVALID_ARGUMENT":
        return ModelFaultError(f"{url} refused the request: {message}")
    # INTERNAL covers a dead Python-backend process, which the supervisor or orchestrator replaces.
    return ServerUnavailableError(f"the model at {url} failed: {message.splitlines()[0]}")


def _is_queue_rejection(message: str) -> bool:
    return "maximum queue size" in message or "Request timeout expired" in message
