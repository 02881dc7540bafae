"""The gateway's logs: lines for people, or JSON for machines, and one line for each answered request.

None of them holds headers, queries, bodies or names of uploaded files.
"""

import logging
import re
from typing import Any

from flask import Response, g, has_request_context, request

from gateway.request_context import current_request_id, elapsed_s

_ACCESS = logging.getLogger("gateway.access")
_LIKE_A_KEY = re.compile(r"dfk_[A-Za-z0-9_-]{8,}")
_LONGEST_PATH = 200
_TEXT = {"format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"}
_JSON = {
    "()": "pythonjsonlogger.json.JsonFormatter",
    "fmt": "%(levelname)s %(name)s %(process)d %(message)s",
    "rename_fields": {"levelname": "level", "name": "logger", "process": "pid"},
    "timestamp": True,
}


def logging_config(form: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`, in the form `text` or `json`. `create_app` sets the level of the gateway."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "gateway.observe.logs.RequestFilter"}},
        "formatters": {"line": _JSON if form == "json" else _TEXT},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request"]}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "opentelemetry.exporter": {"level": "ERROR"},  # a line for each batch lost, none for each try
            "waitress.queue": {"level": "ERROR"},  # it warns of each request that waits for a thread
        },
    }


class RequestFilter(logging.Filter):
    """Adds the request in which a record was made, and takes what looks like an API key out of each record.

    Adds `request_id`, `route`, and `trace_id` if the request is traced. For handlers, which see all loggers' records.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        if has_request_context():
            record.request_id = _LIKE_A_KEY.sub("dfk_...", current_request_id())  # callers choose it
            record.route = g.get("route")
            if trace_id := g.get("trace_id"):
                record.trace_id = trace_id
        message = record.getMessage()
        if _LIKE_A_KEY.search(message):
            record.msg, record.args = _LIKE_A_KEY.sub("dfk_...", message), None
        return True


def log_access(response: Response) -> None:
    """Logs the answer to the current request with fixed fields; fetched metrics are logged at debug level only."""
    path = request.path.encode("unicode_escape").decode("ascii")[:_LONGEST_PATH]
    fields = {
        "client_address": request.remote_addr,
        "method": request.method,
        "status": response.status_code,
        "reason": g.get("error_code"),
        "response_bytes": response.content_length or 0,
        "duration_ms": round(elapsed_s() * 1000, 1),
    }
    _ACCESS.log(
        logging.DEBUG if path == "/metrics" and response.status_code == 200 else logging.INFO,
        '%(client_address)s "%(method)s %(path)s" %(status)s %(response_bytes)s bytes %(duration_ms)s ms id=%(id)s',
        {**fields, "path": path, "id": current_request_id()},
        extra={name: value for name, value in fields.items() if value is not None},
    )
