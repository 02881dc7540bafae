"""OpenTelemetry traces: one span a request, its steps below it, and the context that goes on to Triton.

Imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set; needs the extra `tracing`. Spans carry no paths, file names,
addresses of callers or error messages. The instrumentation of Flask in OpenTelemetry's contrib packages was not taken:
it records each caller's address and whole URL, and is still a beta.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from werkzeug.datastructures import Headers

from deepfake_client.scorer import ANSWERED

SERVICE_NAME = "deepfake-gateway"

_EXPORT_TIMEOUT_S = 2.0
"""How long one batch may take, tries included: the SDK's 10 s would hold up a stop while the collector is away."""

_TIMEOUT_VARIABLES = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
_W3C = TraceContextTextMapPropagator()


class Tracing:
    """Makes spans and sends them to a collector in the background. To be made after a worker has forked."""

    def __init__(self, endpoint: str, version: str) -> None:
        """Connects at the first export.

        Args:
            endpoint: Base URL of an OTLP/HTTP collector.
            version: The gateway's.
        """
        named = Resource.create({"service.name": SERVICE_NAME, "service.version": version})
        # The environment's OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
        provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()))
        timeout_s = None if any(name in os.environ for name in _TIMEOUT_VARIABLES) else _EXPORT_TIMEOUT_S
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=timeout_s)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._provider = provider
        self._tracer = provider.get_tracer("gateway", version)

    def request(self, method: str, route: str, headers: Headers) -> "ServerSpan":
        """Begins the span of the current request, below the caller's if the headers name one."""
        span = self._tracer.start_span(
            f"{method} {route}",
            _W3C.extract(headers),
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": route},
        )
        return ServerSpan(span)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A span within the current one."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except Exception as error:
                _fail(span, getattr(error, "code", type(error).__name__))
                raise

    def triton_request(self, url: str, frames: int, request_id: str) -> "ClientSpan | None":
        """Begins the span of one gRPC request; None outside of a traced request."""
        if not trace.get_current_span().get_span_context().is_valid:
            return None
        host, _, port = url.rpartition(":")
        span = self._tracer.start_span(
            "inference.GRPCInferenceService/ModelInfer",
            kind=SpanKind.CLIENT,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": "inference.GRPCInferenceService",
                "rpc.method": "ModelInfer",
                "server.address": host,
                "server.port": int(port),
                "deepfake.frames": frames,
                "deepfake.request_id": request_id,
            },
        )
        return ClientSpan(span)

    def flush(self) -> None:
        """Sends what there is now."""
        self._provider.force_flush()


class ServerSpan:
    """The span of a request, current in its thread until `end`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token = context.attach(trace.set_span_in_context(span))
        found = span.get_span_context()
        self.trace_id = trace.format_trace_id(found.trace_id) if found.trace_flags.sampled else None

    def answered(self, status: int, reason: str | None, request_id: str) -> None:
        """Notes how the request was answered."""
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("deepfake.request_id", request_id)
        if reason is not None:
            self._span.set_attribute("error.type", reason)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """Ends the span."""
        context.detach(self._token)
        self._span.end()


class ClientSpan:
    """The span of one request to Triton.

    Attributes:
        metadata: W3C trace context for Triton. None of a trace that is not sampled: Triton traces every request that
            comes with one.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self.metadata: dict[str, str] = {}
        if span.get_span_context().trace_flags.sampled:
            _W3C.inject(self.metadata, trace.set_span_in_context(span))

    def ended(self, code: str) -> None:
        """Ends the span."""
        if code != ANSWERED:
            _fail(self._span, code)
        self._span.end()


def _fail(span: Span, reason: Any) -> None:
    span.set_attribute("error.type", str(reason))
    span.set_status(StatusCode.ERROR)
