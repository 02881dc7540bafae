"""`python -m gateway`: serves the gateway with waitress. `--help` lists the settings."""

import contextlib
import ctypes
import faulthandler
import logging.config
import os
from collections.abc import Callable

from pydantic import ValidationError

from deepfake_client.command_line.exits import EXIT_USAGE, USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.settings import options_of
from gateway.settings import GatewaySettings

PROGRAM = "python -m gateway"

EXIT_CODES = {0: "stopped by Ctrl-C or SIGTERM", 1: "could not start: the message says why", **USAGE}
EXAMPLES = (
    "python -m gateway --triton-url triton:8001",
    "PORT=8080 MEDIA_ROOT=/srv/media python -m gateway",
)
GROUPS = {
    "host": "Address",
    "media_root": "Folder and mode",
    "triton_url": "Triton",
    "request_deadline_s": "Load",
    "max_video_decodes": "Videos",
    "max_body_bytes": "What is taken",
    "provenance": "Answers",
    "api_keys_file": "Access",
    "log_format": "Logs, metrics, traces",
}
_PACKAGES = dict.fromkeys(("flask", "flask_openapi3", "waitress", "prometheus_client", "cachetools"), "gateway")

_M_MMAP_THRESHOLD = -3  # of malloc.h
_MMAP_THRESHOLD_BYTES = 2**20


app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS))
@options_of(GatewaySettings, without=("listen_fds",))
def gateway_command(read_settings: Callable[[], GatewaySettings]) -> None:
    """Serves the HTTP gateway alone, beside a Triton that runs elsewhere.

    docs/settings.md has these settings, and those of its connection to Triton, which are environment variables alone.
    """
    require_packages(PROGRAM, _PACKAGES)
    from prometheus_client import start_http_server

    from gateway.access.api_keys import KeyFileError
    from gateway.app import create_app
    from gateway.observe.logs import logging_config
    from gateway.routes.schemas import describe_violations
    from gateway.serve import serve

    try:
        settings = read_settings()
    except ValidationError as error:
        fail("gateway", f"wrong setting: {describe_violations(error)}", EXIT_USAGE)
    logging.config.dictConfig(logging_config(settings.log_format))
    if os.environ.get("TLS_CERT_FILE"):  # keys must not travel in plain text where they were encrypted before
        fail("gateway", "TLS_CERT_FILE is set, but the gateway speaks http only: give it to nginx (deploy/nginx)", 1)
    try:
        _give_memory_back()
        application = create_app(settings)
        if settings.metrics_enabled and settings.metrics_port:
            registry = application.extensions["deepfake_gateway"].telemetry.metrics.registry
            start_http_server(settings.metrics_port, settings.metrics_host, registry)
        serve(application, settings)
    except ValidationError as error:  # of the client's settings
        fail("gateway", f"wrong setting: DEEPFAKE_CLIENT_ {describe_violations(error)}", EXIT_USAGE)
    except (KeyFileError, OSError) as error:
        fail("gateway", str(error), 1)
    application.extensions["deepfake_gateway"].detector.close()


def main() -> None:
    """Reads the settings and serves until SIGTERM or SIGINT."""
    faulthandler.enable()  # a crash of native code shows where it was
    run(app, PROGRAM)


def _give_memory_back() -> None:
    """Fixes glibc's threshold for memory that is given back when it is freed.

    Its own grows with the largest block freed, and then the memory of frames is kept for ever.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


if __name__ == "__main__":
    main()
