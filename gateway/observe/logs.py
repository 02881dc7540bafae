"""The form of the gateway's logs: lines for people, or JSON for machines, gunicorn's own included.

Neither holds headers, queries, bodies or names of uploaded files.
"""

import logging
from datetime import timedelta
from typing import Any

from flask import has_request_context
from gunicorn.glogging import Logger

from gateway.observe.telemetry import REASON_KEY, ROUTE_KEY, TRACE_KEY, current_trace_id, route_label
from gateway.request_context import REQUEST_ID_HEADER, current_request_id

_LONGEST_PATH = 200
_TEXT = {"format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"}
_JSON = {
    "()": "pythonjsonlogger.json.JsonFormatter",
    "fmt": "%(levelname)s %(name)s %(process)d %(message)s",
    "rename_fields": {"levelname": "level", "name": "logger", "process": "pid"},
    "timestamp": True,
}


def logging_config(form: str, level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`.

    Args:
        form: `text` or `json`.
        level: Of the gateway's and gunicorn's loggers; those of libraries warn only.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request": {"()": "gateway.observe.logs.RequestFields"},
            "hide_keys": {"()": "gateway.observe.key_hiding.HideKeys"},
        },
        "formatters": {"line": _JSON if form == "json" else _TEXT},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["request", "hide_keys"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "opentelemetry.exporter": {"level": "ERROR"},  # a line for each batch lost, none for each try
            **{
                name: {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
                for name in ("gateway", "gunicorn.error", "gunicorn.access")
            },
        },
    }


class RequestFields(logging.Filter):
    """Adds the request in which a record was made: `request_id`, `route`, and `trace_id` if it is traced."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        if has_request_context():
            record.request_id = current_request_id()
            record.route = route_label()
            if trace_id := current_trace_id():
                record.trace_id = trace_id
        return True


class AccessLogger(Logger):  # type: ignore[misc]
    """Gunicorn's logger with an access log of fixed fields; fetched metrics are logged at debug level only."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Logs one answered request."""
        path = req.path.encode("unicode_escape").decode("ascii")[:_LONGEST_PATH]
        status = int(str(resp.status).split(maxsplit=1)[0])
        duration_ms = round(request_time / timedelta(milliseconds=1), 1)
        headers = {name.lower(): value for name, value in resp.headers}
        fields = {
            "request_id": headers.get(REQUEST_ID_HEADER.lower()),
            "client_address": environ.get("REMOTE_ADDR"),
            "method": req.method,
            "route": environ.get(ROUTE_KEY),
            "status": status,
            "reason": environ.get(REASON_KEY),
            "response_bytes": resp.sent,
            "duration_ms": duration_ms,
            "trace_id": environ.get(TRACE_KEY),
        }
        self.access_log.log(
            logging.DEBUG if path == "/metrics" and status == 200 else logging.INFO,
            '%s "%s %s" %s %s bytes %s ms id=%s',
            *(fields["client_address"], req.method, path, status, resp.sent, duration_ms, fields["request_id"] or "-"),
            extra={name: value for name, value in fields.items() if value is not None},
        )
