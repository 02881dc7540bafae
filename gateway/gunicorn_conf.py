"""Gunicorn's configuration, from the gateway's settings: `gunicorn -c python:gateway.gunicorn_conf`."""

from gateway.settings import GatewaySettings

_settings = GatewaySettings()

wsgi_app = "gateway.app:create_app()"
proc_name = "deepfake-gateway"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
worker_class = "gthread"
workers = _settings.gateway_workers
threads = _settings.gateway_threads
# Each worker makes its own application and gRPC channel: a channel does not survive a fork.
preload_app = False
# For gthread this watches the worker's main loop, not its requests, which have their own deadline.
timeout = 30
# A stopping worker finishes what it has accepted.
graceful_timeout = round(_settings.request_deadline_s) + 5
keepalive = 5
control_socket_disable = True
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(B)s bytes %(M)s ms id=%({x-request-id}o)s'
loglevel = "debug" if _settings.development else "info"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        name: {"handlers": ["stderr"], "level": loglevel.upper(), "propagate": False}
        for name in ("gateway", "gunicorn.error", "gunicorn.access")
    },
}
