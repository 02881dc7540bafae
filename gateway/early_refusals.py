"""Refuses requests of a full worker before Flask is asked, at a fraction of the processor time.

Under overload nearly all requests are refused, on the cores that the model needs. So the one refusal that is then
common is made here, by hand: with the same status, headers, JSON, metrics and fields of the access log as by the long
way, which still makes all other answers, and this one too where more matters than the route and the API key.
"""

import time
from collections.abc import Iterable
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication

from flask import Response
from flask.json.provider import JSONProvider
from werkzeug.wsgi import ClosingIterator

from gateway.access.api_keys import ApiKeys, KeyFileError
from gateway.access.authentication import sent_key
from gateway.access.security_headers import data_headers
from gateway.error_responses import error_body
from gateway.errors import OverloadedRequestError
from gateway.request_context import REQUEST_ID_HEADER, Services, sane_request_id
from gateway.unread_bodies import UnreadBodies

ROUTES = frozenset({"/detect", "/api/v1/inference"})

_STATUS = "503 SERVICE UNAVAILABLE"
_ID_PLACE = "<request id>"  # no character of it needs an escape in JSON, and no id holds it


class EarlyRefusals:
    """WSGI middleware. Thread-safe."""

    def __init__(
        self, app: WSGIApplication, shared: Services, keys: ApiKeys | None, unread: UnreadBodies, json: JSONProvider
    ) -> None:
        """Wraps the application.

        Args:
            app: What answers everything else.
            shared: The application's services.
            keys: Those that let callers in, None where none are asked for.
            unread: What becomes of the refused bodies.
            json: Writes the answer.
        """
        self._app = app
        self._shared = shared
        self._keys = keys
        self._unread = unread
        self._json = json
        # These count or follow a request from its start.
        settings = shared.settings
        self._is_off = bool(
            settings.rate_limit_per_minute or settings.max_in_flight_per_client or shared.telemetry.tracing
        )

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        started_at = time.monotonic()
        if self._is_off or environ["PATH_INFO"] not in ROUTES or not self._is_plain(environ):
            return self._app(environ, start_response)
        try:
            self._shared.admission.refuse_if_full()
        except OverloadedRequestError as error:
            if self._is_let_in(environ):
                return self._refuse(environ, start_response, error, started_at)
        return self._app(environ, start_response)

    def _is_plain(self, environ: dict[str, Any]) -> bool:
        """Whether it is a POST from no browser's other origin."""
        return environ["REQUEST_METHOD"] == "POST" and "HTTP_ORIGIN" not in environ and not environ["SCRIPT_NAME"]

    def _is_let_in(self, environ: dict[str, Any]) -> bool:
        if self._keys is None:
            return True
        key = sent_key(environ.get("HTTP_AUTHORIZATION", ""), environ.get("HTTP_X_API_KEY", ""))
        try:
            return bool(key) and self._keys.owner(key) is not None
        except KeyFileError:
            return False

    def _refuse(
        self, environ: dict[str, Any], start_response: StartResponse, error: OverloadedRequestError, started_at: float
    ) -> Iterable[bytes]:
        request_id = sane_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        body = self._body(error).replace(_ID_PLACE, request_id).encode()
        is_secure = environ["wsgi.url_scheme"] == "https"
        start_response(
            _STATUS,
            [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Retry-After", str(error.retry_after_s)),
                (REQUEST_ID_HEADER, request_id),
                *data_headers(self._shared.settings.hsts_max_age_s if is_secure else 0).items(),
            ],
        )
        duration_s = time.monotonic() - started_at
        self._shared.telemetry.refused_early(environ, environ["PATH_INFO"], error.status, error.code, duration_s)
        return ClosingIterator([body], lambda: self._unread.discard(environ))

    def _body(self, error: OverloadedRequestError) -> str:
        """The JSON, with a place for the id: its text is the same every time."""
        if not hasattr(self, "_text"):
            body = error_body(error.title, error.code, str(error), _ID_PLACE, error.details)
            self._text = cast(Response, self._json.response(body)).get_data(as_text=True)
        return self._text
