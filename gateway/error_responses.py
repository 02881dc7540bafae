"""Turns every exception of a request into the contract's JSON error."""

import errno
import logging
from collections.abc import Mapping

from deepfake_client import DeadlineExceededError, DetectionError
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from gateway.errors import ClientGoneError, GatewayError, public_error
from gateway.request_context import current_request_id, request_deadline, services
from gateway.scoring.admission import overloaded

_LOG = logging.getLogger("gateway")

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC})

_HTTP_ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("Malformed request", "MALFORMED_REQUEST", "The request is malformed."),
    404: ("Not found", "NOT_FOUND", "There is no such route. See /openapi.json."),
    405: ("Method not allowed", "METHOD_NOT_ALLOWED", "The route does not take this method; see the Allow header."),
    413: ("Too large", "BODY_TOO_LARGE", "The request body is over the limit."),
    415: ("Unsupported media", "WRONG_CONTENT_TYPE", "The route does not take this Content-Type."),
}


def register_error_handlers(app: Flask) -> None:
    """Answers every error of the application in JSON."""
    app.register_error_handler(GatewayError, _gateway_error)
    app.register_error_handler(DetectionError, _client_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OSError, _os_error)
    app.register_error_handler(Exception, _unhandled)


def _gateway_error(error: GatewayError) -> Response:
    response = _response(error.status, error.title, error.code, str(error), error.details)
    response.headers.update(error.headers)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _client_error(error: DetectionError) -> Response:
    if isinstance(error, DeadlineExceededError) and request_deadline().cancelled:
        return _gateway_error(ClientGoneError("The connection was closed before the answer.", "CLIENT_GONE"))
    public = public_error(error, services().settings.retry_after_s)
    if public.status >= 500:
        _LOG.warning("request %s: %s: %s", current_request_id(), type(error).__name__, error)
    return _gateway_error(public)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:  # a redirect, for instance of doubled slashes
        return Response(error.get_body(), status, error.get_headers())
    title, code, message = _HTTP_ERRORS.get(status, (error.name, error.name.upper().replace(" ", "_"), error.name))
    if status == 413:
        message = (
            f"The body or one of its fields is over the limit; a body may hold {request.max_content_length} bytes."
        )
    response = _response(status, title, code, message, {})
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _os_error(error: OSError) -> Response:
    """The machine has no more of something: that passes, and the request is not to blame."""
    if error.errno not in _EXHAUSTED:
        return _unhandled(error)
    _LOG.error("request %s: %s", current_request_id(), error.strerror)
    return _gateway_error(overloaded("The machine is out of files or space.", services().settings.retry_after_s))


def _unhandled(error: Exception) -> Response:
    _LOG.error("request %s failed", current_request_id(), exc_info=error)
    return _response(500, "Internal error", "INTERNAL", "The gateway failed; its log has this request id.", {})


def error_body(
    title: str, code: str, message: str, request_id: str, details: Mapping[str, object]
) -> dict[str, object]:
    """The JSON object of every error."""
    return {"error": title, "message": message, "code": code, "request_id": request_id, **details}


def _response(status: int, title: str, code: str, message: str, details: dict[str, object]) -> Response:
    body = error_body(title, code, message, current_request_id(), details)
    g.error_code = code  # for metrics and logs
    response = jsonify(body)
    response.status_code = status
    return response
