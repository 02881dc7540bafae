"""One gRPC channel to Triton servers: the only module that imports tritonclient, whose errors it maps to the client's.

gRPC itself spreads the requests of a channel over the servers of its target, leaves out those that are away, and looks
a DNS name up again when a connection ends. Triton ends connections of a certain age (`--grpc-max-connection-age`), so
servers that are added behind a name are found.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from deepfake_client.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DetectionError,
    DetectorClosedError,
    ModelFaultError,
    ModelNotServedError,
    OverloadedError,
    ServerNotTrustedError,
    ServerUnavailableError,
    ServiceError,
)
from deepfake_client.forks import CallsUnderWay, never_freed, renew_after_fork
from deepfake_client.release import DESCRIPTION_PARAMETER, ModelInfo
from deepfake_client.scorer import ANSWERED, CANCELLED, ObservedRequest, RequestObserver
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.target import Target

T = TypeVar("T")
Tensors = Mapping[str, NDArray[Any]]

# Given channel arguments replace tritonclient's own, which lift the limits of message size.
_CHANNEL_ARGS = (
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.lb_policy_name", "round_robin"),
    # A restarted server is found again within a second, not after gRPC's default back-off of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A server that hangs or vanished loses its connection after 7 s; what it was sent can then go to another one.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),  # gRPC 1.85 ends a connection by this one alone, and has 60 s
    # gRPC's default of 30 s would hide an added server for as long.
    ("grpc.dns_min_time_between_resolutions_ms", 2000),
)

_CALLS = CallsUnderWay()
"""gRPC readies itself for a fork only while no thread calls into it; otherwise its channels never work in the child."""

_NEW_CHANNEL_AFTER_S = 5.0
"""A channel that is older is replaced after a failure: gRPC's own back-off of DNS look-ups grows to two minutes."""


@dataclass(frozen=True)
class Role:
    """What the servers of a target do for a client.

    Attributes:
        name: For messages; "" where they do all.
        away: The error that says that none of them answers.
        refused: The error that says that they do not take what they are sent.
    """

    name: str = ""
    away: type[ServerUnavailableError] = ServerUnavailableError
    refused: type[ServiceError] = ModelFaultError


@dataclass(frozen=True)
class Question(Generic[T]):
    """What a model is asked about N images.

    Attributes:
        model: Its name.
        inputs: By name, of shape (N, ...); arrays of objects hold bytes.
        outputs: The shape of each wanted output for one image; None where any length will do.
        read: Makes the answer from tensors of these shapes.
        optional: The shapes of outputs that not every release has.
    """

    model: str
    inputs: Tensors
    outputs: Mapping[str, tuple[int | None, ...]]
    read: Callable[[Tensors], T]
    optional: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many images it is about."""
        return len(next(iter(self.inputs.values())))


@dataclass
class PendingAnswer(Generic[T]):
    """A request under way.

    Attributes:
        arrived: Done once there is an answer or an error; made to be waited for with others.
        client: Kept while the request is under way: it closes its channel once nothing refers to it any more.
        observed: Told how the request ends.
    """

    endpoint: "TritonEndpoint"
    question: Question[T]
    client: Any
    observed: ObservedRequest
    arrived: "Future[Any]" = field(default_factory=Future)
    call: Any = None

    def answer(self) -> T:
        """The answer.

        Raises:
            ServiceError: There is none that can be used.
        """
        with _failure_told(self.observed):
            error = self.arrived.exception()
            if isinstance(error, InferenceServerException):
                raise self.endpoint.error(error) from error
            if error is not None:
                raise self.endpoint.role.away(f"{self.endpoint.name}: {error}") from error
            try:
                answer = self.question.read(_tensors(self.arrived.result(), self.question))
            except (ValueError, TypeError, IndexError) as error:
                raise ModelFaultError(f"the answer of {self.endpoint.name} cannot be read: {error}") from error
        self.observed.ended(ANSWERED)
        return answer

    def cancel(self) -> None:
        """Tells the server that nobody waits any more."""
        self.call.cancel()
        self.observed.ended(CANCELLED)


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    """The block is a call into gRPC that waits for its answer."""
    _CALLS.began()
    try:
        yield
    finally:
        _CALLS.ended()


@contextlib.contextmanager
def _failure_told(observed: ObservedRequest) -> Iterator[None]:
    """Tells the observer of an error in the block, which goes on."""
    try:
        yield
    except BaseException as error:
        observed.ended(error.code if isinstance(error, DetectionError) else "INTERNAL")
        raise


class TritonEndpoint:
    """The servers of one target. Thread-safe.

    The gRPC channel is made at the first call, and anew in a process that was forked.
    """

    def __init__(
        self,
        target: Target,
        settings: ClientSettings,
        observer: RequestObserver,
        role: Role = Role(),
    ) -> None:
        """Connects to nothing yet.

        Args:
            target: Where the servers are.
            settings: Model name, proxy, TLS.
            observer: Told of every inference request.
            role: What the servers are for.

        Raises:
            ConfigurationError: Servers in a list are to be recognised by TLS, and the name in their certificates is
                not given.
        """
        if settings.tls_ca_file is not None and len(target.addresses) > 1 and not settings.tls_server_name:
            raise ConfigurationError(
                f"servers in a list ({target}) prove by TLS that they have one name: set "
                "DEEPFAKE_CLIENT_TLS_SERVER_NAME to it, or give dns:///name:port"
            )
        self.url = str(target)
        self.name = f"{self.url} ({role.name})" if role.name else self.url
        self.has_several = target.has_several
        self.role = role
        self._target = target
        self._settings = settings
        self._observer = observer
        self._lock = threading.Lock()
        self._client: triton.InferenceServerClient | None = None
        self._made_at = 0.0
        self._closed = False
        renew_after_fork(self)

    def read_info(self, timeout_s: float) -> ModelInfo:
        """Description of the release that one of the servers serves.

        Raises:
            ServiceError: The server does not answer, or serves no release of ours.
        """
        try:
            with _counted():
                response = self._connection().get_model_config(self._settings.model, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise self.error(error) from error
        parameters = response.config.parameters
        if DESCRIPTION_PARAMETER not in parameters:
            raise ModelNotServedError(
                f"the model {self._settings.model} at {self.url} was not exported by deepfake-export"
            )
        return ModelInfo.from_json(parameters[DESCRIPTION_PARAMETER].string_value)

    def server_id(self, timeout_s: float) -> str:
        """What one of the servers calls itself: its `--id`, which `deploy` makes anew for each start.

        Raises:
            ServiceError: The server does not say.
        """
        try:
            return str(self._connection().get_server_metadata(client_timeout=timeout_s).name)
        except InferenceServerException as error:
            raise self.error(error) from error

    def completed_requests(self, timeout_s: float, model: str) -> int:
        """How many requests a model of one of the servers has answered successfully since that server started.

        Raises:
            ServiceError: The server does not say.
        """
        try:
            with _counted():
                statistics = self._connection().get_inference_statistics(model, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise self.error(error) from error
        return sum(int(version.inference_stats.success.count) for version in statistics.model_stats)

    def ask(self, question: Question[T], timeout_s: float, request_id: str) -> PendingAnswer[T]:
        """Sends a request and returns at once."""
        observed = self._observer.begin(self.url, question.images, request_id)
        with _failure_told(observed):
            return self._ask(question, timeout_s, request_id, observed)

    def _ask(
        self, question: Question[T], timeout_s: float, request_id: str, observed: ObservedRequest
    ) -> PendingAnswer[T]:
        client = self._connection()
        pending = PendingAnswer(self, question, client, observed)

        def arrived(result: Any, error: Any) -> None:
            _CALLS.ended()
            if error is not None:
                pending.arrived.set_exception(error)
            else:
                pending.arrived.set_result(result)

        _CALLS.began()
        try:
            pending.call = client.async_infer(
                question.model,
                [_input(name, values) for name, values in question.inputs.items()],
                arrived,
                request_id=request_id,
                headers=dict(observed.metadata),
                client_timeout=timeout_s,
                timeout=round(timeout_s * 1e6),  # the server gives up as well: it does not see that nobody waits
            )
        except BaseException:  # another thread has closed the channel
            _CALLS.ended()
            raise
        return pending

    def error(self, error: InferenceServerException) -> ServiceError:
        """The client's error for one of Triton's."""
        return _service_error(error, self.name, self.role)

    def look_up_again(self) -> None:
        """The servers failed: the next call uses a new channel, unless this one is young.

        Requests under way end on the channel that they began on.
        """
        with self._lock:
            if time.monotonic() - self._made_at > _NEW_CHANNEL_AFTER_S:
                self._client = None

    def after_fork(self) -> None:
        """See `deepfake_client.forks.Forkable`."""
        self._lock = threading.Lock()
        if self._client is not None:
            never_freed(self._client)
            self._client = None

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
                try:
                    self._client = _connect(self._target, self._settings)
                except ServerUnavailableError as error:
                    raise self.role.away(str(error)) from error
                self._made_at = time.monotonic()
            return self._client


def _connect(target: Target, settings: ClientSettings) -> "triton.InferenceServerClient":
    """A client whose channel connects at its first call."""
    channel_args = [*_CHANNEL_ARGS, ("grpc.enable_http_proxy", int(settings.use_http_proxy))]
    if settings.tls_ca_file is None:
        return triton.InferenceServerClient(target.for_grpc(), channel_args=channel_args)
    if settings.tls_server_name:
        channel_args.append(("grpc.ssl_target_name_override", settings.tls_server_name))
    return triton.InferenceServerClient(target.for_grpc(), creds=_credentials(settings), channel_args=channel_args)


def _credentials(settings: ClientSettings) -> "grpc.ChannelCredentials":
    """What the client trusts, and what it shows if it is asked. Not left to tritonclient, which fails untidily."""
    files = (settings.tls_ca_file, settings.tls_key_file, settings.tls_cert_file)
    try:
        authority, key, certificate = (file.read_bytes() if file else None for file in files)
    except OSError as error:
        raise ConfigurationError(f"a file for TLS: {error.filename}: {error.strerror}") from error
    return grpc.ssl_channel_credentials(authority, key, certificate)


def _input(name: str, values: NDArray[Any]) -> "triton.InferInput":
    tensor = triton.InferInput(name, values.shape, np_to_triton_dtype(values.dtype))
    tensor.set_data_from_numpy(values)
    return tensor


def _tensors(result: Any, question: Question[Any]) -> dict[str, NDArray[Any]]:
    """The wanted outputs, of the shapes that they must have, and the optional ones that there are."""
    tensors = {name: result.as_numpy(name) for name in question.outputs}
    found = {name: result.as_numpy(name) for name in question.optional}
    tensors |= {name: values for name, values in found.items() if values is not None}
    for name, values in tensors.items():
        expected = (question.images, *{**question.outputs, **question.optional}[name])
        if values is None or len(values.shape) != len(expected) or not all(map(_fits, values.shape, expected)):
            got = "nothing" if values is None else f"shape {values.shape}"
            raise ModelFaultError(
                f"the answer to {question.images} frames holds {got} as {name}: not the {question.model} of this client"
            )
    return tensors


def _fits(length: int, expected: int | None) -> bool:
    return expected in (None, length)


def _service_error(error: InferenceServerException, name: str, role: Role = Role()) -> ServiceError:
    """The one table from Triton's gRPC status codes to the client's errors."""
    code = str(error.status() or "").removeprefix("StatusCode.")
    message = str(error.message() or "").strip() or "no message"
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceededError(f"no answer from {name} before the deadline")
    if code == "CANCELLED":
        return DeadlineExceededError(f"the request to {name} was cancelled")
    if code == "RESOURCE_EXHAUSTED" or (code == "UNAVAILABLE" and _is_queue_rejection(message)):
        return OverloadedError(f"{name} is overloaded: {message}")
    if code == "UNAVAILABLE" and _is_distrust(message):
        return ServerNotTrustedError(f"{name} has no certificate of the trusted authority for its name: {message}")
    if code == "UNAVAILABLE" and "Request for unknown model" not in message:
        if "Failed parsing HTTP/2" in message:
            return role.away(f"{name} is the port of an HTTP server, not Triton's gRPC port")
        return role.away(f"no Triton server answers at {name}: {message.rpartition(': ')[2].strip('[]')}")
    if code in ("NOT_FOUND", "UNAVAILABLE", "UNIMPLEMENTED"):
        return ModelNotServedError(f"{name} does not serve the model: {message}")
    if code == "INVALID_ARGUMENT":
        return role.refused(f"{name} refused the request: {message}")
    # INTERNAL covers a dead Python-backend process, which the supervisor or orchestrator replaces.
    return role.away(f"the model at {name} failed: {message.splitlines()[0]}")


def _is_queue_rejection(message: str) -> bool:
    return "maximum queue size" in message or "Request timeout expired" in message


def _is_distrust(message: str) -> bool:
    """Whether gRPC refused the server's certificate: another authority, or another name."""
    return "CERTIFICATE_VERIFY_FAILED" in message or "Hostname Verification Check failed" in message
