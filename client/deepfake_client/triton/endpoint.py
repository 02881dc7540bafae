"""One Triton server over gRPC: the only module that imports tritonclient; it maps its errors to the client's own."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from deepfake_client.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DetectorClosedError,
    ModelFaultError,
    ModelNotServedError,
    OverloadedError,
    ServerNotTrustedError,
    ServerUnavailableError,
    ServiceError,
)
from deepfake_client.release import DESCRIPTION_PARAMETER, ModelInfo
from deepfake_client.scorer import FrameScore, frame_scores
from deepfake_client.settings import ClientSettings

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
    # A host name with several addresses, such as a headless Kubernetes service, is spread over all of them.
    ("grpc.lb_policy_name", "round_robin"),
)


@dataclass
class PendingAnswer:
    """A request under way.

    Attributes:
        arrived: Done once there is an answer or an error; made to be waited for with others.
    """

    url: str
    frames: int
    arrived: "Future[Any]" = field(default_factory=Future)
    call: Any = None

    def scores(self, info: ModelInfo) -> list[FrameScore]:
        """The answer, one score per frame of the request.

        Args:
            info: Description of the release that was asked.

        Raises:
            ServiceError: There is none that can be used.
        """
        error = self.arrived.exception()
        if isinstance(error, InferenceServerException):
            raise _service_error(error, self.url) from error
        if error is not None:
            raise ServerUnavailableError(f"{self.url}: {error}") from error
        try:
            return _parse(self.arrived.result(), info, self.frames)
        except (ValueError, TypeError, IndexError) as error:
            raise ModelFaultError(f"the answer of {self.url} cannot be read: {error}") from error

    def cancel(self) -> None:
        """Tells the server that nobody waits any more."""
        self.call.cancel()


class TritonEndpoint:
    """One server. Thread-safe.

    The gRPC channel is made at the first call and not before, so that an object made before a process forks is of use
    after it.
    """

    def __init__(self, url: str, settings: ClientSettings) -> None:
        """Connects to nothing yet.

        Args:
            url: host:port of Triton's gRPC endpoint.
            settings: Model name, proxy.
        """
        self.url = url
        self._settings = settings
        self._lock = threading.Lock()
        self._client: triton.InferenceServerClient | None = None
        self._closed = False

    def read_info(self, timeout_s: float) -> ModelInfo:
        """Description of the served release.

        Raises:
            ServiceError: The server does not answer, or serves no release of ours.
        """
        try:
            response = self._connection().get_model_config(self._settings.model, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise _service_error(error, self.url) from error
        parameters = response.config.parameters
        if DESCRIPTION_PARAMETER not in parameters:
            raise ModelNotServedError(
                f"the model {self._settings.model} at {self.url} was not exported by deepfake-export"
            )
        return ModelInfo.from_json(parameters[DESCRIPTION_PARAMETER].string_value)

    def completed_requests(self, timeout_s: float) -> int:
        """How many requests the ensemble has answered successfully since the server started.

        Raises:
            ServiceError: The server does not say.
        """
        try:
            statistics = self._connection().get_inference_statistics(self._settings.model, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise _service_error(error, self.url) from error
        return sum(int(model.inference_stats.success.count) for model in statistics.model_stats)

    def send(
        self, images: Sequence[bytes], timeout_s: float, request_id: str, metadata: Mapping[str, str] | None = None
    ) -> PendingAnswer:
        """Sends encoded images as one request and returns at once."""
        pending = PendingAnswer(self.url, len(images))
        tensor = triton.InferInput("IMAGE", [len(images), 1], "BYTES")
        tensor.set_data_from_numpy(np.array(images, dtype=np.object_).reshape(-1, 1))

        def arrived(result: Any, error: Any) -> None:
            if error is not None:
                pending.arrived.set_exception(error)
            else:
                pending.arrived.set_result(result)

        pending.call = self._connection().async_infer(
            self._settings.model,
            [tensor],
            arrived,
            outputs=[triton.InferRequestedOutput(name) for name in _OUTPUTS],
            request_id=request_id,
            headers=dict(metadata) if metadata else None,
            client_timeout=timeout_s,
            timeout=round(timeout_s * 1e6),  # the server gives up as well: it does not see in time that nobody waits
        )
        return pending

    def close(self) -> None:
        """Closes the channel, for good."""
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connection(self) -> "triton.InferenceServerClient":
        with self._lock:
            if self._closed:
                raise DetectorClosedError
            if self._client is None:
                self._client = _connect(self.url, self._settings)
            return self._client


def _connect(url: str, settings: ClientSettings) -> "triton.InferenceServerClient":
    """A client whose channel connects at its first call.

    Raises:
        ConfigurationError: A file for TLS cannot be read.
    """
    channel_args = [*_CHANNEL_ARGS, ("grpc.enable_http_proxy", int(settings.use_http_proxy))]
    if settings.tls_ca_file is None:
        return triton.InferenceServerClient(url, channel_args=channel_args)
    if settings.tls_server_name:
        channel_args.append(("grpc.ssl_target_name_override", settings.tls_server_name))
    return triton.InferenceServerClient(url, creds=_credentials(settings), channel_args=channel_args)


def _credentials(settings: ClientSettings) -> "grpc.ChannelCredentials":
    """What the client trusts, and what it shows if it is asked. Not left to tritonclient, which fails untidily.

    Raises:
        ConfigurationError: A file cannot be read.
    """
    files = (settings.tls_ca_file, settings.tls_key_file, settings.tls_cert_file)
    try:
        authority, key, certificate = (file.read_bytes() if file else None for file in files)
    except OSError as error:
        raise ConfigurationError(f"a file for TLS: {error.filename}: {error.strerror}") from error
    return grpc.ssl_channel_credentials(authority, key, certificate)


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
    if code == "UNAVAILABLE" and _is_distrust(message):
        return ServerNotTrustedError(f"{url} has no certificate of the trusted authority for its name: {message}")
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


def _is_distrust(message: str) -> bool:
    """Whether gRPC refused the server's certificate: another authority, or another name."""
    return "CERTIFICATE_VERIFY_FAILED" in message or "Hostname Verification Check failed" in message
