"""Everything the gateway answers that is no success, and the one table from the client's errors to it.

GatewayError
├── MalformedRequestError      400  the request breaks the schema
├── UnauthenticatedError       401  no valid API key, where keys are asked for
├── OutsideMediaRootError      403  a listed path lies outside the media root
├── NoModelCardError           404  the model has no card that could be served
├── TooLargeError              413  a limit on size or number is exceeded
├── UnsupportedContentError    415  wrong Content-Type, or media that is not analysed
├── UnprocessableError         422  well-formed, but nothing in it could be scored
├── RateLimitedError           429  one client asks for too much; carries Retry-After
├── OverloadedRequestError     503  shed; carries Retry-After
├── KeysUnavailableError       503  nobody can tell whether the API key is valid
├── ModelUnavailableError      503  Triton or the model cannot answer
└── DeadlineError              504  no answer in time

Messages never carry addresses, tracebacks or paths that the caller did not send: for a fault of the service the
message is fixed here and the detail goes to the log.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from deepfake_client import (
    DeadlineExceededError,
    DetectionError,
    InputError,
    MediaDecodeError,
    MediaTooLargeError,
    ModelFaultError,
    ModelNotServedError,
    NothingScoredError,
    OverloadedError,
    ServerNotTrustedError,
    ServerUnavailableError,
    UnsupportedMediaError,
)


class GatewayError(Exception):
    """Root of the gateway's errors; `str()` is the public message.

    Attributes:
        status: HTTP status.
        title: Short title, the `error` key.
        headers: More headers of the answer.
        code: Upper-case code for programs, the `code` key.
        details: More keys of the JSON body.
        retry_after_s: Value of the Retry-After header, or None.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        message: str,
        code: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}
        self.retry_after_s = retry_after_s


class MalformedRequestError(GatewayError):
    """The request breaks the schema."""

    status = 400
    title = "Malformed request"


class UnauthenticatedError(GatewayError):
    """There is no valid API key. The message never holds what was sent."""

    status = 401
    title = "API key needed"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="deepfake-detection"'}


class OutsideMediaRootError(GatewayError):
    """A path lies outside the media root. The answer is the same whether anything exists there or not."""

    status = 403
    title = "Path not allowed"

    def __init__(self, index: int) -> None:
        super().__init__(
            f"extractedFrames[{index}] lies outside the media root; no frame of this request was read. "
            "List files below the media root only.",
            "PATH_OUTSIDE_MEDIA_ROOT",
        )


class NoModelCardError(GatewayError):
    """The model came without a card, or with one too long to be served."""

    status = 404
    title = "Not found"


class TooLargeError(GatewayError):
    """A limit on size or number is exceeded."""

    status = 413
    title = "Too large"


class UnsupportedContentError(GatewayError):
    """The Content-Type is wrong, or the media is of a kind that is not analysed."""

    status = 415
    title = "Unsupported media"


class UnprocessableError(GatewayError):
    """The request is well-formed, but nothing in it could be scored."""

    status = 422
    title = "Nothing could be scored"


class ClientGoneError(GatewayError):
    """The client went away before its answer; the status, which nobody reads, is the one that nginx logs."""

    status = 499
    title = "Client gone"


class RateLimitedError(GatewayError):
    """One client asks for more than its share; others are not refused for it."""

    status = 429
    title = "Too many requests"


class KeysUnavailableError(GatewayError):
    """The API keys cannot be read, so nobody is let in."""

    status = 503
    title = "API keys unavailable"


class OverloadedRequestError(GatewayError):
    """The request was shed."""

    status = 503
    title = "Overloaded"


class ModelUnavailableError(GatewayError):
    """Triton or the model cannot answer."""

    status = 503
    title = "Model unavailable"


class DeadlineError(GatewayError):
    """There was no answer in time."""

    status = 504
    title = "Deadline exceeded"


_TABLE: tuple[tuple[type[DetectionError], type[GatewayError], str | None], ...] = (
    # The message of an input error is about what the caller sent and can be passed on; the more special come first.
    (UnsupportedMediaError, UnsupportedContentError, None),
    (NothingScoredError, UnprocessableError, None),
    (MediaDecodeError, UnprocessableError, None),
    (MediaTooLargeError, TooLargeError, None),
    (InputError, MalformedRequestError, None),
    (OverloadedError, OverloadedRequestError, "The inference server is overloaded. Send the request again shortly."),
    (DeadlineExceededError, DeadlineError, "There was no answer before the deadline. Send less, or try again."),
    (ServerUnavailableError, ModelUnavailableError, "The inference server does not answer. Try again shortly."),
    (ServerNotTrustedError, ModelUnavailableError, "The inference server does not prove that it is the one meant."),
    (ModelNotServedError, ModelUnavailableError, "The inference server does not serve the model."),
    (ModelFaultError, ModelUnavailableError, "The model gave an answer that cannot be right; nothing was scored."),
    (DetectionError, GatewayError, "The gateway is set up wrongly; its log says how."),
)


def public_error(error: DetectionError, retry_after_s: int) -> GatewayError:
    """The one way from the client's errors to the gateway's; the code stays the client's.

    Args:
        error: What the client raised.
        retry_after_s: When to send a shed request again.
    """
    public, message = next((public, message) for kind, public, message in _TABLE if isinstance(error, kind))
    statuses = error.statuses if isinstance(error, NothingScoredError) else ()
    return public(
        message or str(error),
        error.code,
        details={"frames": [{"index": i, "status": s} for i, s in enumerate(statuses)]} if statuses else None,
        retry_after_s=retry_after_s if public is OverloadedRequestError else None,
    )
