"""Everything the client raises: an `InputError` where the input is at fault, a `ServiceError` where the service is."""

from collections.abc import Sequence
from typing import ClassVar


class DetectionError(Exception):
    """Root of the client's exceptions; `str()` says what is wrong and what to do.

    Attributes:
        code: Upper-case code for programs; never changed once published.
        retryable: Whether trying again may help.
    """

    code: ClassVar[str] = "DETECTION_FAILED"
    retryable: ClassVar[bool] = False


class InputError(DetectionError):
    """The input is at fault."""

    code = "INVALID_INPUT"


class MediaNotFoundError(InputError):
    """The path names no readable regular file."""

    code = "MEDIA_NOT_FOUND"


class EmptyFileError(InputError):
    """The file holds no byte."""

    code = "EMPTY_FILE"


class UnsupportedMediaError(InputError):
    """The content is neither an accepted image nor an accepted video."""

    code = "UNSUPPORTED_MEDIA"


class MediaDecodeError(InputError):
    """The container is known but no frame can be decoded from it."""

    code = "MEDIA_DECODE_FAILED"


class MediaDecodeTimeoutError(MediaDecodeError):
    """Decoding the video took longer than `DecodeLimits.time_s` and was ended."""

    code = "DECODE_TIMEOUT"


class MediaTooLargeError(InputError):
    """The image, or the scored frames of the video together, are over `ClientSettings.max_media_bytes`."""

    code = "MEDIA_TOO_LARGE"


class NothingScoredError(InputError):
    """No frame could be scored.

    Attributes:
        statuses: Status name of each frame, in order.
    """

    code = "NOTHING_SCORED"

    def __init__(self, message: str, statuses: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.statuses = tuple(statuses)


class ServiceError(DetectionError):
    """The service, not the input, is at fault."""

    code = "SERVICE_FAILED"


class ServerUnavailableError(ServiceError):
    """The server cannot be reached, is starting, or lost a model process."""

    code = "MODEL_UNAVAILABLE"
    retryable = True


class PreprocessUnavailableError(ServerUnavailableError):
    """The servers that only preprocess are those that cannot be reached or lost a model process."""

    code = "PREPROCESS_UNAVAILABLE"


class ReleasesDifferError(ServerUnavailableError):
    """The servers have different releases, and no answer came from one alone; a rollout ends that."""

    code = "RELEASES_DIFFER"


class ServerNotTrustedError(ServiceError):
    """The server's certificate does not prove, by the trusted authority, that it is the server that was meant."""

    code = "SERVER_NOT_TRUSTED"


class OverloadedError(ServiceError):
    """The server shed this request; it was not computed."""

    code = "OVERLOADED"
    retryable = True


class DeadlineExceededError(ServiceError):
    """There was no answer before the deadline."""

    code = "DEADLINE"


class ModelNotServedError(ServiceError):
    """The server does not serve the model, or serves one without this project's description."""

    code = "MODEL_NOT_SERVED"


class ModelFaultError(ServiceError):
    """The model's answer cannot be right: a non-finite score with STATUS 0, or a missing tensor."""

    code = "MODEL_FAULT"


class DetectorClosedError(DetectionError):
    """The detector or scorer was closed. Nothing is wrong with the service: make another one."""

    code = "CLOSED"

    def __init__(self, message: str = "it was closed: make another one") -> None:
        super().__init__(message)


class ConfigurationError(DetectionError):
    """A setting or an argument makes no sense."""

    code = "CONFIGURATION"
