"""What the application tells of its work: metrics, a line in the log, and traces where they are on."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from deepfake_client.scorer import ObservedRequest
from gateway.observe.logs import log_access
from gateway.observe.metrics import GatewayMetrics
from gateway.request_context import current_request_id, elapsed_s

if TYPE_CHECKING:  # its libraries are an extra
    from gateway.observe.tracing import ClientSpan, Tracing

_UNMATCHED = "unmatched"
_NOT_TRACED = frozenset({_UNMATCHED, "/health", "/metrics", "/", "/docs", "/openapi.json"})


@dataclass(frozen=True)
class Telemetry:
    """Passes on what happens. Thread-safe; an observer of the client's requests to Triton too."""

    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    tracing: "Tracing | None" = None

    def step(self, name: str) -> AbstractContextManager[None]:
        """A part of the current request whose time is worth knowing."""
        return self.tracing.step(name) if self.tracing else nullcontext()

    def begin(self, url: str, frames: int, request_id: str) -> ObservedRequest:
        """See `deepfake_client.scorer.RequestObserver.begin`."""
        span = self.tracing.triton_request(url, frames, request_id) if self.tracing else None
        return _TritonRequest(self.metrics, span)

    def install(self, app: Flask) -> None:
        """Has every request of the application observed. Call it before anything that can refuse one."""
        app.before_request(self._request_began)
        app.after_request(self._request_answered)
        app.teardown_request(self._request_ended)

    def _request_began(self) -> None:
        # The template: of a bounded number, and without anything that the caller wrote.
        route = g.route = request.url_rule.rule if request.url_rule is not None else _UNMATCHED
        self.metrics.in_progress.labels(route).inc()
        if self.tracing and route not in _NOT_TRACED and not route.startswith("/static/"):
            g.span = self.tracing.request(request.method, route, request.headers)
            g.trace_id = g.span.trace_id

    def _request_answered(self, response: Response) -> Response:
        reason = g.get("error_code")
        self.metrics.request_answered(g.route, request.method, response.status_code, reason, elapsed_s())
        if "span" in g:
            g.span.answered(response.status_code, reason, current_request_id())
        log_access(response)
        return response

    def _request_ended(self, _error: BaseException | None) -> None:
        if route := g.pop("route", None):
            self.metrics.in_progress.labels(route).dec()
        if span := g.pop("span", None):
            span.end()


class _TritonRequest:
    """One gRPC request, timed."""

    def __init__(self, metrics: GatewayMetrics, span: "ClientSpan | None") -> None:
        self._metrics = metrics
        self._span = span
        self._began_at = time.monotonic()
        self.metadata: Mapping[str, str] = span.metadata if span else {}

    def ended(self, code: str) -> None:
        self._metrics.triton_requests.labels(code).inc()
        self._metrics.triton_durations.observe(time.monotonic() - self._began_at)
        if self._span:
            self._span.ended(code)
