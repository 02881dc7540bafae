"""Everything the gateway answers that is no success: one error, one table of codes, one JSON object for each.

Messages never carry addresses, tracebacks or paths that the caller did not send: for a fault of the service the
message is fixed here and the detail goes to the log.
"""

import errno
import logging
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from deepfake_client import DeadlineExceededError, DetectionError, InputError, NothingScoredError
from gateway.request_context import current_request_id, request_deadline

_LOG = logging.getLogger("gateway")

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOSPC}
"""What an OSError says that is neither the request's fault nor a file's."""

_HTTP_ERRORS = {
    400: ("MALFORMED_REQUEST", "The request is malformed."),
    404: ("NOT_FOUND", "There is no such route. See /openapi.json."),
    405: ("METHOD_NOT_ALLOWED", "The route does not take this method; see the Allow header."),
    413: ("BODY_TOO_LARGE", "The body or one of its fields is over the limit; a body may hold {} bytes."),
}


@dataclass(frozen=True)
class Code:
    """What stands behind one `code` of an error.

    Attributes:
        status: HTTP status.
        title: Short title, the `error` key.
        meaning: When it is answered. Of a fault of the service it is the message too: its own stays in the log.
    """

    status: int
    title: str
    meaning: str


# fmt: off
_TABLE: tuple[tuple[int, str, dict[str, str]], ...] = (
    (400, "Malformed request", {
        "MALFORMED_REQUEST": "The request breaks the schema.",
        "INVALID_JSON": "The body is no JSON object.",
        "NO_FILE": "The form has no file.",
        "EMPTY_FILE": "The file is empty.",
        "INVALID_INPUT": "`type` contradicts the content.",
        "HOST_NOT_ALLOWED": "The Host header names another service.",
    }),
    (401, "API key needed", {
        "API_KEY_REQUIRED": "No API key was sent.",
        "API_KEY_INVALID": "The API key is not valid.",
    }),
    (403, "Path not allowed", {
        "PATH_OUTSIDE_MEDIA_ROOT": "A listed path lies outside the media root; none was read.",
    }),
    (404, "Not found", {
        "NOT_FOUND": "There is no such route.",
        "NO_MODEL_CARD": "The model has no card, or one that is too long to be served.",
    }),
    (405, "Method not allowed", {"METHOD_NOT_ALLOWED": "The route does not take this method."}),
    (413, "Too large", {
        "BODY_TOO_LARGE": "The body is over the limit.",
        "TOO_MANY_FRAMES": "Too many paths are listed.",
        "FRAMES_TOO_LARGE": "The scored frames are too large together.",
        "IMAGE_TOO_LARGE": "The image is over the limit.",
        "MEDIA_TOO_LARGE": "The frames of the video would take too much memory.",
    }),
    (415, "Unsupported media", {
        "WRONG_CONTENT_TYPE": "The route does not take this Content-Type or Content-Encoding.",
        "UNSUPPORTED_MEDIA": "AUDIO, or neither an image nor a video that is taken.",
    }),
    (422, "Nothing could be scored", {
        "NO_FRAMES": "No path is listed.",
        "NOTHING_SCORED": "No frame could be scored; `frames` has each one's reason.",
        "MEDIA_DECODE_FAILED": "No frame of the video can be decoded.",
        "DECODE_TIMEOUT": "The video cannot be decoded in time.",
    }),
    (431, "Too large", {"HEADERS_TOO_LARGE": "The headers are over the limit."}),
    (499, "Client gone", {"CLIENT_GONE": "The connection was closed before the answer."}),
    (500, "Internal error", {
        "INTERNAL": "The gateway failed; its log has this request id.",
        "CONFIGURATION": "The gateway is set up wrongly; its log says how.",
    }),
    (501, "Not implemented", {"NOT_IMPLEMENTED": "The request uses a part of HTTP that is not supported."}),
    (503, "Overloaded", {"OVERLOADED": "The service is overloaded. Send the request again shortly."}),
    (503, "API keys unavailable", {"KEYS_UNAVAILABLE": "The API keys cannot be read now. Try again shortly."}),
    (503, "Model unavailable", {
        "MODEL_UNAVAILABLE": "The inference server does not answer. Try again shortly.",
        "PREPROCESS_UNAVAILABLE": "The preprocess pool does not answer. Try again shortly.",
        "RELEASES_DIFFER": "The servers have different releases: a rollout is under way. Try again shortly.",
        "MODEL_NOT_SERVED": "The inference server does not serve the model.",
        "MODEL_FAULT": "The model gave an answer that cannot be right; nothing was scored.",
        "SERVER_NOT_TRUSTED": "The inference server does not prove that it is the one meant.",
    }),
    (504, "Deadline exceeded", {"DEADLINE": "There was no answer before the deadline. Send less, or try again."}),
)
# fmt: on

CODES = {code: Code(status, title, meaning) for status, title, meanings in _TABLE for code, meaning in meanings.items()}


class ApiError(Exception):
    """An answer that is no success; `str()` is the public message.

    Attributes:
        code: Upper-case code for programs, a key of `CODES`.
        status: HTTP status of that code.
        details: More keys of the JSON body.
        headers: More headers of the answer.
    """

    def __init__(
        self, code: str, message: str = "", details: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """The message is the code's meaning by default."""
        super().__init__(message or CODES[code].meaning)
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
        retry_after_s: When to send a request again whose failure may pass.
    """
    code = error.code
    if code not in CODES:
        code = "INVALID_INPUT" if isinstance(error, InputError) else "CONFIGURATION"
    statuses = error.statuses if isinstance(error, NothingScoredError) else ()
    frames = [{"index": index, "status": status} for index, status in enumerate(statuses)]
    return ApiError(
        code,
        "" if CODES[code].status >= 500 else str(error),
        details={"frames": frames} if frames else None,
        headers={"Retry-After": str(retry_after_s)} if error.retryable else None,
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


def register_error_handlers(app: Flask, retry_after_s: int) -> None:
    """Answers every error of the application in JSON. A request that was shed may come again after `retry_after_s`."""

    def client_error(error: DetectionError) -> Response:
        if isinstance(error, DeadlineExceededError) and request_deadline().cancelled:
            return _answer(ApiError("CLIENT_GONE"))
        public = public_error(error, retry_after_s)
        if public.status >= 500:
            _LOG.warning("request %s: %s: %s", current_request_id(), type(error).__name__, error)
        return _answer(public)

    def os_error(error: OSError) -> Response:
        """The machine has no more of something: that passes, and the request is not to blame."""
        if error.errno not in EXHAUSTED:
            return _unhandled(error)
        _LOG.error("request %s: %s", current_request_id(), error.strerror)
        return _answer(overloaded("The machine is out of files or space.", retry_after_s))

    app.register_error_handler(ApiError, _answer)
    app.register_error_handler(DetectionError, client_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OSError, os_error)
    app.register_error_handler(Exception, _unhandled)


def _answer(error: ApiError) -> Response:
    g.error_code = error.code  # for metrics and logs
    response = jsonify(error_body(error.code, str(error), current_request_id(), error.details))
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:  # a redirect, for instance of doubled slashes
        return Response(error.get_body(), status, error.get_headers())
    code, message = _HTTP_ERRORS.get(status, ("MALFORMED_REQUEST" if status < 500 else "INTERNAL", error.name))
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    response = _answer(ApiError(code, message.format(request.max_content_length), headers=headers))
    response.status_code = status
    return response


def _unhandled(error: Exception) -> Response:
    _LOG.error("request %s failed", current_request_id(), exc_info=error)
    return _answer(ApiError("INTERNAL"))
