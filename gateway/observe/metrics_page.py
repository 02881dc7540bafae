"""GET /metrics: the counters of all workers, and what is true now. Imported in a worker, with `observe.metrics`."""

import os
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.observe.metrics import PREFIX, GatewayMetrics
from gateway.routes.health import project_version
from gateway.scoring.health_monitor import HealthMonitor
from gateway.settings import GatewaySettings

PATH = "/metrics"


class _State:
    """What is found out at each scrape: a health check, as `GET /health` runs it, and constants of the process."""

    def __init__(self, settings: GatewaySettings, monitor: HealthMonitor) -> None:
        self._settings = settings
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """See prometheus-client's `Collector`."""
        checked = self._monitor.check()
        yield GaugeMetricFamily(
            f"{PREFIX}healthy", "1 while real inferences succeed, as GET /health says.", int(checked.healthy)
        )
        identity = {"version": project_version()}
        if info := checked.info:
            identity |= {
                "model": info.name,
                "release_id": info.release_id,
                "precision": info.precision,
                "trained": str(info.trained).lower(),
            }
        yield InfoMetricFamily(f"{PREFIX}build", "The gateway's version and the release that it last saw.", identity)
        yield GaugeMetricFamily(
            f"{PREFIX}request_deadline_seconds", "REQUEST_DEADLINE_S.", self._settings.request_deadline_s
        )
        yield GaugeMetricFamily(
            f"{PREFIX}detections_limit",
            "Detections that all workers take at a time: MAX_IN_FLIGHT x GATEWAY_WORKERS.",
            self._settings.max_in_flight * self._settings.gateway_workers,
        )


def metrics_page(metrics: GatewayMetrics | None, settings: GatewaySettings, monitor: HealthMonitor) -> WSGIApplication:
    """The page as an application that answers on every path."""
    registry = metrics.registry if metrics else CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_State(settings, monitor))
    page: WSGIApplication = make_wsgi_app(registry)
    return page


def serve_metrics(app: Flask, page: WSGIApplication, port: int) -> None:
    """Puts the page on a port of its own, or else on the application's.

    Args:
        app: The application; call this when all its middleware is in place.
        page: The page.
        port: Of its own; 0 for a route of the application, which is under the application's rules for access.
    """
    if port:
        app.wsgi_app = _OwnPort(app.wsgi_app, page, port)  # type: ignore[method-assign]
    else:
        app.add_url_rule(PATH, "metrics", lambda: Response.from_app(page, request.environ))


class _OwnPort:
    """What comes in at the port gets metrics and nothing else; what comes in elsewhere never gets them."""

    def __init__(self, app: WSGIApplication, page: WSGIApplication, port: int) -> None:
        self._app = app
        self._page = page
        self._port = str(port)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Gunicorn takes it from the socket, whatever the caller's Host header says.
        if environ.get("SERVER_PORT") != self._port:
            return self._app(environ, start_response)
        if environ.get("PATH_INFO") == PATH:
            return self._page(environ, start_response)
        return Response("There is only /metrics here.\n", 404, mimetype="text/plain")(environ, start_response)
