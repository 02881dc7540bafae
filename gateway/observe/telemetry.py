"""What the application tells of its work: metrics and traces, or nothing where both are off.

The two are imported only where they are on.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepfake_client.observer import ObservedRequest
from deepfake_client.scorer import FrameScore
from flask import Flask, Response, g, has_request_context, request

if TYPE_CHECKING:
    from gateway.observe.metrics import GatewayMetrics
    from gateway.observe.tracing import ClientSpan, Tracing

ROUTE_KEY = "deepfake_gateway.route"
"""Where the access log finds the route's template in a request's WSGI environment; the next two likewise."""

REASON_KEY = "deepfake_gateway.reason"
TRACE_KEY = "deepfake_gateway.trace_id"

_UNMATCHED = "unmatched"
_NOT_TRACED = frozenset({_UNMATCHED, "/health", "/metrics", "/", "/docs", "/openapi.json"})


@dataclass(frozen=True)
class Telemetry:
    """Passes on what happens. Thread-safe; an observer of the client's requests to Triton too."""

    metrics: "GatewayMetrics | None" = None
    tracing: "Tracing | None" = None

    def frames(self, scores: Sequence[FrameScore]) -> None:
        """Frames of a detection have their scores, or the reasons why they have none."""
        if self.metrics:
            self.metrics.frames(scores)

    def verdict(self, media_type: str, verdict: str) -> None:
        """A verdict was reached."""
        if self.metrics:
            self.metrics.verdict(media_type, verdict)

    def cache_looked_up(self, result: str, count: int) -> None:
        """Frames were looked up in the score cache."""
        if self.metrics:
            self.metrics.cache_looked_up(result, count)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A part of the current request whose time is worth knowing."""
        if self.tracing is None:
            yield
        else:
            with self.tracing.step(name):
                yield

    def begin(self, url: str, frames: int, request_id: str) -> ObservedRequest:
        """See `deepfake_client.observer.RequestObserver.begin`."""
        span = self.tracing.triton_request(url, frames, request_id) if self.tracing else None
        return _TritonRequest(self.metrics, span)

    def install(self, app: Flask) -> None:
        """Has every request of the application observed. Call it before anything that can refuse one."""
        app.before_request(self._request_began)
        app.after_request(self._request_answered)
        app.teardown_request(self._request_ended)

    def refused_early(self, environ: dict[str, Any], route: str, status: int, reason: str, duration_s: float) -> None:
        """A POST was refused without the application: what the hooks of `install` would have told of it."""
        environ[ROUTE_KEY], environ[REASON_KEY] = route, reason
        if self.metrics:
            self.metrics.request_answered(route, "POST", status, reason, duration_s)

    def _request_began(self) -> None:
        route = g.route = request.environ[ROUTE_KEY] = route_label()
        if self.metrics:
            self.metrics.request_began(route)
        if self.tracing and route not in _NOT_TRACED and not route.startswith("/static/"):
            g.span = self.tracing.request(request.method, route, request.headers)
            request.environ[TRACE_KEY] = g.span.trace_id

    def _request_answered(self, response: Response) -> Response:
        reason = g.get("error_code")
        if reason:
            request.environ[REASON_KEY] = reason
        if self.metrics:
            duration_s = time.monotonic() - g.started_at
            self.metrics.request_answered(g.route, request.method, response.status_code, reason, duration_s)
        if "span" in g:
            g.span.answered(response.status_code, reason, g.get("request_id", ""))
        return response

    def _request_ended(self, _error: BaseException | None) -> None:
        if route := g.pop("route", None):
            if self.metrics:
                self.metrics.request_ended(route)
            if span := g.pop("span", None):
                span.end()


class _TritonRequest:
    """One gRPC request, timed."""

    def __init__(self, metrics: "GatewayMetrics | None", span: "ClientSpan | None") -> None:
        self._metrics = metrics
        self._span = span
        self._began_at = time.monotonic()

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._span.metadata if self._span else {}

    def ended(self, code: str) -> None:
        if self._metrics:
            self._metrics.triton_answered(code, time.monotonic() - self._began_at)
        if self._span:
            self._span.ended(code)


def route_label() -> str:
    """The current request's route as a template: of a bounded number, and without anything the caller wrote."""
    return request.url_rule.rule if request.url_rule is not None else _UNMATCHED


def current_trace_id() -> str | None:
    """The id of the current request's trace, if it has one that is exported."""
    if not has_request_context():
        return None
    trace_id: str | None = request.environ.get(TRACE_KEY)
    return trace_id
