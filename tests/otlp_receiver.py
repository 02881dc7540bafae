"""A collector of OpenTelemetry traces for tests: OTLP over HTTP, as protobuf or JSON."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """A span that arrived; ids in hexadecimal, `parent_id` "" without a parent."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    error: bool


class OtlpReceiver:
    """Listens on a free port of the loopback address."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    receiver._take(body, "json" in self.headers.get("Content-Type", ""))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """All spans of one trace that have arrived."""
        with self._lock:
            return [span for span in self.spans if span.trace_id == trace_id]

    def _take(self, body: bytes, is_json: bool) -> None:
        message = ExportTraceServiceRequest()
        if is_json:
            json_format.ParseDict(json.loads(body, object_hook=_ids_in_base64), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
        with self._lock:
            for resource_spans in message.resource_spans:
                service = _attributes(resource_spans.resource.attributes).get("service.name", "")
                for scope in resource_spans.scope_spans:
                    self.spans += [_received(service, span) for span in scope.spans]


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """A running collector."""
    receiver = OtlpReceiver()
    thread = threading.Thread(target=receiver._server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver._server.shutdown()
        receiver._server.server_close()


def _ids_in_base64(values: dict[str, Any]) -> dict[str, Any]:
    """OTLP's JSON has ids in hexadecimal, where that of protobuf has base64."""
    ids = {
        name: base64.b64encode(bytes.fromhex(values[name])).decode()
        for name in ("traceId", "spanId", "parentSpanId")
        if name in values
    }
    return {**values, **ids}


def _received(service: str, span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        service, span.name, span.kind, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        _attributes(span.attributes), span.status.code == 2,
    )  # fmt: skip


def _attributes(pairs: Any) -> dict[str, str]:
    return {pair.key: str(getattr(pair.value, pair.value.WhichOneof("value") or "string_value")) for pair in pairs}
