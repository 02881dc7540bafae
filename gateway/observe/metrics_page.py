"""GET /metrics: the counters, and what is known of the service without running an inference for it."""

from collections.abc import Iterator

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.observe.metrics import PREFIX
from gateway.scoring.health_monitor import HealthMonitor
from gateway.settings import GatewaySettings
from gateway.version import project_version


class ServiceState:
    """A collector of what is true at the scrape."""

    def __init__(self, settings: GatewaySettings, monitor: HealthMonitor) -> None:
        self._settings = settings
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """See prometheus-client's `Collector`."""
        identity = {"version": project_version()}
        if health := self._monitor.last_known():
            yield GaugeMetricFamily(
                f"{PREFIX}healthy", "1 if the last inference, or else the last GET /health, succeeded.", health.healthy
            )
            if info := health.info:
                identity |= {
                    "model": info.name,
                    "release_id": info.release_id,
                    "precision": info.precision,
                    "trained": str(info.trained).lower(),
                }
        yield InfoMetricFamily(f"{PREFIX}build", "The gateway's version and the release that it last saw.", identity)
        yield GaugeMetricFamily(
            f"{PREFIX}request_deadline_seconds", "DEEPFAKE_REQUEST_DEADLINE_S.", self._settings.request_deadline_s
        )
        yield GaugeMetricFamily(
            f"{PREFIX}detections_limit",
            "Detections taken at a time, DEEPFAKE_MAX_IN_FLIGHT.",
            self._settings.max_in_flight,
        )


def add_metrics_route(app: Flask, registry: CollectorRegistry) -> None:
    """Serves the metrics as a route of the application, under the application's rules for access."""
    app.add_url_rule(
        "/metrics", "metrics", lambda: Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    )
