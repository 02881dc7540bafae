"""Turns every exception of a request into the contract's JSON error."""

import errno
import logging

from deepfake_client import DeadlineExceededError, DetectionError
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from gateway.errors import ApiError, error_body, overloaded, public_error
from gateway.request_context import current_request_id, request_deadline

_LOG = logging.getLogger("gateway")

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC})

_HTTP_ERRORS = {
    400: ("MALFORMED_REQUEST", "The request is malformed."),
    404: ("NOT_FOUND", "There is no such route. See /openapi.json."),
    405: ("METHOD_NOT_ALLOWED", "The route does not take this method; see the Allow header."),
    413: ("BODY_TOO_LARGE", "The body or one of its fields is over the limit; a body may hold {} bytes."),
    415: ("WRONG_CONTENT_TYPE", "The route does not take this Content-Type."),
}


def register_error_handlers(app: Flask, retry_after_s: int) -> None:
    """Answers every error of the application in JSON.

    Args:
        app: The application.
        retry_after_s: When to send a request again that was shed.
    """

    def client_error(error: DetectionError) -> Response:
        if isinstance(error, DeadlineExceededError) and request_deadline().cancelled:
            return _answer(ApiError("CLIENT_GONE"))
        public = public_error(error, retry_after_s)
        if public.status >= 500:
            _LOG.warning("request %s: %s: %s", current_request_id(), type(error).__name__, error)
        return _answer(public)

    def os_error(error: OSError) -> Response:
        """The machine has no more of something: that passes, and the request is not to blame."""
        if error.errno not in _EXHAUSTED:
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
