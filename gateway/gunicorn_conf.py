"""Gunicorn's configuration, from the gateway's settings: `gunicorn -c python:gateway.gunicorn_conf`."""

import ssl
from typing import Any

from gateway.metrics_folder import MetricsFolder
from gateway.observe.logs import AccessLogger, logging_config
from gateway.settings import GatewaySettings
from gateway.transport import server_context

_settings = GatewaySettings()

wsgi_app = "gateway.app:create_app()"
proc_name = "deepfake-gateway"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


bind = [_address(_settings.host, _settings.port)]
if _settings.metrics_enabled and _settings.metrics_port:
    bind.append(_address(_settings.metrics_host, _settings.metrics_port))
certfile = _settings.tls_cert_file and str(_settings.tls_cert_file)
keyfile = _settings.tls_key_file and str(_settings.tls_key_file)
worker_class = "gateway.gunicorn_worker.Worker"
workers = _settings.gateway_workers
threads = _settings.gateway_threads
# Each worker makes its own application and gRPC channel: a channel does not survive a fork.
preload_app = False
# In a threaded worker this watches the worker's main loop, not its requests, which have their own deadline.
# A worker that is stopped or hangs holds connections until then.
timeout = 10
# A stopping worker finishes what it has accepted.
graceful_timeout = round(_settings.request_deadline_s) + 5
keepalive = 5
control_socket_disable = True
# Gunicorn itself would believe them from this machine; TRUSTED_PROXIES says who is believed.
forwarded_allow_ips = ""
forwarder_headers = ""
accesslog = "-"
logger_class = AccessLogger
loglevel = "debug" if _settings.development else "info"
logconfig_dict = logging_config(_settings.log_format, loglevel)


def ssl_context(_config: object, _default: object) -> ssl.SSLContext:
    """What gunicorn wraps each connection with, where there is a certificate."""
    assert _settings.tls_cert_file is not None
    assert _settings.tls_key_file is not None
    return server_context(_settings.tls_cert_file, _settings.tls_key_file)


_metrics_folders: list[MetricsFolder] = []


def on_starting(_server: object) -> None:
    """Before any worker is forked: what they count in."""
    if _settings.metrics_enabled:
        _metrics_folders.append(MetricsFolder())


def child_exit(_server: object, worker: Any) -> None:
    """A worker has ended, and with it its requests in progress."""
    for folder in _metrics_folders:
        folder.forget_worker(worker.pid)


def on_exit(_server: object) -> None:
    """The last thing that the master process does."""
    for folder in _metrics_folders:
        folder.remove()
