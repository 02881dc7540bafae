"""Everything the gateway answers that is no success: one error, one table of codes, one way from the client's errors.

Messages never carry addresses, tracebacks or paths that the caller did not send: for a fault of the service the
message is fixed here and the detail goes to the log.
"""

from dataclasses import dataclass
from typing import Any

from deepfake_client import DetectionError, InputError, NothingScoredError


@dataclass(frozen=True)
class Code:
    """What stands behind one `code` of an error.

    Attributes:
        status: HTTP status.
        title: Short title, the `error` key.
        meaning: When it is answered; for the OpenAPI document.
        message: The public message for an error of the client; None where the error's own may be passed on.
    """

    status: int
    title: str
    meaning: str
    message: str | None = None


_MALFORMED = "Malformed request"
_TOO_LARGE = "Too large"
_UNSUPPORTED = "Unsupported media"
_UNSCORED = "Nothing could be scored"
_UNAVAILABLE = "Model unavailable"
_FAULT = "Internal error"
_SET_UP_WRONGLY = "The gateway is set up wrongly; its log says how."

CODES = {
    "MALFORMED_REQUEST": Code(400, _MALFORMED, "The request breaks the schema."),
    "INVALID_JSON": Code(400, _MALFORMED, "The body is no JSON object."),
    "NO_FILE": Code(400, _MALFORMED, "The form has no file."),
    "EMPTY_FILE": Code(400, _MALFORMED, "The file is empty."),
    "INVALID_INPUT": Code(400, _MALFORMED, "`type` contradicts the content."),
    "API_KEY_REQUIRED": Code(401, "API key needed", "No API key was sent."),
    "API_KEY_INVALID": Code(401, "API key needed", "The API key is not valid."),
    "PATH_OUTSIDE_MEDIA_ROOT": Code(
        403, "Path not allowed", "A listed path lies outside the media root; none was read."
    ),
    "NOT_FOUND": Code(404, "Not found", "There is no such route."),
    "NO_MODEL_CARD": Code(404, "Not found", "The model has no card, or one that is too long to be served."),
    "METHOD_NOT_ALLOWED": Code(405, "Method not allowed", "The route does not take this method."),
    "BODY_TOO_LARGE": Code(413, _TOO_LARGE, "The body is over the limit."),
    "TOO_MANY_FRAMES": Code(413, _TOO_LARGE, "Too many paths are listed."),
    "FRAMES_TOO_LARGE": Code(413, _TOO_LARGE, "The scored frames are too large together."),
    "IMAGE_TOO_LARGE": Code(413, _TOO_LARGE, "The image is over the limit."),
    "MEDIA_TOO_LARGE": Code(413, _TOO_LARGE, "The frames of the video would take too much memory."),
    "WRONG_CONTENT_TYPE": Code(415, _UNSUPPORTED, "The route does not take this Content-Type."),
    "UNSUPPORTED_MEDIA": Code(415, _UNSUPPORTED, "AUDIO, or neither an image nor a video that is taken."),
    "NO_FRAMES": Code(422, _UNSCORED, "No path is listed."),
    "NOTHING_SCORED": Code(422, _UNSCORED, "No frame could be scored; `frames` has each one's reason."),
    "MEDIA_DECODE_FAILED": Code(422, _UNSCORED, "No frame of the video can be decoded."),
    "DECODE_TIMEOUT": Code(422, _UNSCORED, "The video cannot be decoded in time."),
    "HEADERS_TOO_LARGE": Code(431, _TOO_LARGE, "The headers are over the limit."),
    "CLIENT_GONE": Code(499, "Client gone", "The client closed the connection before its answer."),
    "INTERNAL": Code(500, _FAULT, "A fault of the gateway; its log has the request id."),
    "CONFIGURATION": Code(500, _FAULT, "The gateway is set up wrongly.", _SET_UP_WRONGLY),
    "NOT_IMPLEMENTED": Code(501, _FAULT, "The request uses a part of HTTP that is not supported."),
    "OVERLOADED": Code(
        503,
        "Overloaded",
        "Shed for overload, with Retry-After.",
        "The inference server is overloaded. Send the request again shortly.",
    ),
    "KEYS_UNAVAILABLE": Code(503, "API keys unavailable", "The API keys cannot be read."),
    "MODEL_UNAVAILABLE": Code(
        503,
        _UNAVAILABLE,
        "The inference server does not answer.",
        "The inference server does not answer. Try again shortly.",
    ),
    "MODEL_NOT_SERVED": Code(
        503,
        _UNAVAILABLE,
        "The inference server does not serve the model.",
        "The inference server does not serve the model.",
    ),
    "MODEL_FAULT": Code(
        503,
        _UNAVAILABLE,
        "The model gave an answer that cannot be right.",
        "The model gave an answer that cannot be right; nothing was scored.",
    ),
    "SERVER_NOT_TRUSTED": Code(
        503,
        _UNAVAILABLE,
        "The inference server does not prove that it is the one meant.",
        "The inference server does not prove that it is the one meant.",
    ),
    "DEADLINE": Code(
        504,
        "Deadline exceeded",
        "No answer before the request's deadline.",
        "There was no answer before the deadline. Send less, or try again.",
    ),
}


class ApiError(Exception):
    """An answer that is no success; `str()` is the public message.

    Attributes:
        code: Upper-case code for programs, a key of `CODES`.
        status: HTTP status of that code.
        details: More keys of the JSON body.
        headers: More headers of the answer.
    """

    def __init__(
        self, code: str, message: str, details: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = CODES[code].status
        self.details = details or {}
        self.headers = headers or {}


def overloaded(reason: str, retry_after_s: int) -> ApiError:
    """The one answer to a request that is shed."""
    message = f"{reason} Send it again in {retry_after_s} s."
    return ApiError("OVERLOADED", message, headers={"Retry-After": str(retry_after_s)})


def public_error(error: DetectionError, retry_after_s: int) -> ApiError:
    """The one way from the client's errors to the gateway's; the code stays the client's.

    Args:
        error: What the client raised.
        retry_after_s: When to send a shed request again.
    """
    code = error.code
    if code not in CODES:
        code = "INVALID_INPUT" if isinstance(error, InputError) else "CONFIGURATION"
    statuses = error.statuses if isinstance(error, NothingScoredError) else ()
    frames = [{"index": index, "status": status} for index, status in enumerate(statuses)]
    return ApiError(
        code,
        CODES[code].message or str(error),
        details={"frames": frames} if frames else None,
        headers={"Retry-After": str(retry_after_s)} if code == "OVERLOADED" else None,
    )


def error_body(code: str, message: str, request_id: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON object of every error."""
    return {
        "error": CODES[code].title,
        "message": message,
        "code": code,
        "request_id": request_id,
        **(details or {}),
    }
