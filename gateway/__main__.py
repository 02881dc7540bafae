"""`python -m gateway`: serves the gateway with waitress. `--help` lists the settings."""

import contextlib
import ctypes
import logging.config
import os
import sys
from logging.handlers import MemoryHandler

from prometheus_client import start_http_server
from pydantic import ValidationError
from pydantic_settings import CliApp

from deepfake_client.environment import warn_of_retired
from gateway.access.api_keys import KeyFileError
from gateway.app import create_app
from gateway.observe.logs import logging_config
from gateway.routes.schemas import describe_violations
from gateway.serve import serve
from gateway.settings import GatewaySettings

_NGINX = "nginx before the gateway does that (deploy/nginx)"
_RETIRED = {
    "RATE_LIMIT_PER_MINUTE": _NGINX,
    "HSTS_MAX_AGE_S": _NGINX,
    "MAX_IN_FLIGHT_PER_CLIENT": _NGINX,
    "MAX_BODY_READERS": "a request is received whole before a thread works on it",
    "GATEWAY_WORKERS": "one process serves; DEEPFAKE_MAX_IN_FLIGHT bounds what it takes, replicas scale it",
    "GATEWAY_THREADS": "they follow from DEEPFAKE_MAX_IN_FLIGHT",
    "TRITON_URL_FILE": "DEEPFAKE_TRITON_URL may name several servers",
}
_M_MMAP_THRESHOLD = -3  # of malloc.h
_MMAP_THRESHOLD_BYTES = 2**20


def main() -> None:
    """Reads the settings and serves until SIGTERM or SIGINT."""
    held = MemoryHandler(capacity=100, flushLevel=sys.maxsize)  # what is said before it is known in which form
    logging.getLogger("deepfake_client").addHandler(held)
    try:
        settings = CliApp.run(GatewaySettings, cli_args=sys.argv[1:])
    except ValidationError as error:
        sys.exit(f"gateway: wrong setting: {describe_violations(error)}")
    logging.config.dictConfig(logging_config(settings.log_format))
    logging.getLogger("deepfake_client").removeHandler(held)
    held.setTarget(logging.getLogger().handlers[0])
    held.close()
    warn_of_retired(_RETIRED)
    if os.environ.get("TLS_CERT_FILE"):  # keys must not travel in plain text where they were encrypted before
        sys.exit(f"gateway: TLS_CERT_FILE is set, but the gateway speaks http only: {_NGINX}")
    try:
        _give_memory_back()
        app = create_app(settings)
        if settings.metrics_enabled and settings.metrics_port:
            registry = app.extensions["deepfake_gateway"].telemetry.metrics.registry
            start_http_server(settings.metrics_port, settings.metrics_host, registry)
        serve(app, settings)
    except ValidationError as error:  # of the client's settings
        sys.exit(f"gateway: wrong setting: DEEPFAKE_CLIENT_ {describe_violations(error)}")
    except (KeyFileError, OSError) as error:
        sys.exit(f"gateway: {error}")
    app.extensions["deepfake_gateway"].detector.close()


def _give_memory_back() -> None:
    """Fixes glibc's threshold for memory that is given back when it is freed.

    Its own grows with the largest block freed, and then the memory of frames is kept for ever.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


if __name__ == "__main__":
    main()
