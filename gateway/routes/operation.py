"""GET /health, /model-card and /metrics: whether the service works, and with which model."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.openapi import OpenAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from deepfake_client.release import CARD_ROUTE
from deepfake_client.scorer import Deadline
from gateway.errors import ApiError
from gateway.observe.metrics import PREFIX
from gateway.page.model_card import model_card_page
from gateway.routes.accept import prefers_html
from gateway.routes.document import OPERATION, SERVICE_CODES, failures, keyed
from gateway.routes.schemas import HealthResponse
from gateway.scoring.caching_scorer import CachingScorer
from gateway.scoring.health_monitor import HealthMonitor
from gateway.settings import GatewaySettings
from gateway.version import project_version

_MARKDOWN = "text/markdown"
_TEXT = {"schema": {"type": "string"}}


def operation_routes(settings: GatewaySettings, scorer: CachingScorer, monitor: HealthMonitor) -> APIBlueprint:
    """The routes that ask for no API key, over the application's scorer and its monitor."""
    operation = APIBlueprint("operation", __name__, abp_tags=[OPERATION])
    card_as_text = {"description": "The card.", "content": dict.fromkeys((_MARKDOWN, "text/html"), _TEXT)}

    @operation.get(
        "/health",
        operation_id="checkHealth",
        responses={200: HealthResponse, 503: HealthResponse, **failures("INTERNAL")},
    )
    def check_health() -> tuple[Response, int]:
        """Tell whether an inference can be served now.

        Rests on a real inference of the last seconds: a caller's, or one made for this request.
        """
        checked = monitor.check()
        info = checked.info
        answer = HealthResponse(
            status="healthy" if checked.healthy else "unhealthy",
            service="deepfake-detection-ml-service",
            version=project_version(),
            model=info.name if info else "unknown",
            model_status="loaded" if checked.healthy else "not_loaded",
            timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
            release_id=info.release_id if info else None,
            precision=info.precision if info else None,
            trained=info.trained if info else None,
            notice=info.notice if info else None,
            calibration=info.calibration.summary() if info and info.calibration else None,
            model_card=info.model_card.reference() if info and info.model_card else None,
            reason=checked.reason,
        )
        return jsonify(answer.model_dump(exclude_none=True)), 200 if checked.healthy else 503

    @operation.get(
        CARD_ROUTE,
        operation_id="showModelCard",
        responses={200: card_as_text, **failures("NO_MODEL_CARD", *SERVICE_CODES)},
    )
    def show_model_card() -> Response:
        """Read the card of the model that answers now.

        The text that came with the model's checkpoint: what it is for, what it was trained on, where it fails. It is
        Markdown, and a page where the Accept header prefers HTML, as browsers' do. The `model_card` of results and of
        /health names its SHA-256.
        """
        card = scorer.info(Deadline(settings.canary_timeout_s)).model_card
        if card is None or not card.text:
            where = f" It stands at {card.url}" if card and card.url else ""
            raise ApiError("NO_MODEL_CARD", f"The model has no card that is served here.{where}")
        if prefers_html(_MARKDOWN):
            response = model_card_page(card)
        else:
            response = Response(card.text, mimetype=_MARKDOWN)  # Flask says charset=utf-8 of every text/*
            response.set_etag(card.sha256)
        response.vary.add("Accept")
        return response

    return operation


class ServiceState:
    """Collects what is true at the scrape, without running an inference for it."""

    def __init__(self, settings: GatewaySettings, monitor: HealthMonitor) -> None:
        self._settings = settings
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """See prometheus-client's `Collector`."""
        identity = {"version": project_version()}
        if health := self._monitor.last_known():
            yield GaugeMetricFamily(
                f"{PREFIX}healthy",
                "1 if the last inference, or else the last GET /health, succeeded.",
                health.healthy,
            )
            if info := health.info:
                identity |= {
                    "model": info.name,
                    "release_id": info.release_id,
                    "precision": info.precision,
                    "trained": str(info.trained).lower(),
                }
        yield InfoMetricFamily(f"{PREFIX}build", "The gateway's version and the release that it last saw.", identity)
        deadline_s, limit = self._settings.request_deadline_s, self._settings.max_in_flight
        yield GaugeMetricFamily(f"{PREFIX}request_deadline_seconds", "DEEPFAKE_REQUEST_DEADLINE_S.", deadline_s)
        yield GaugeMetricFamily(
            f"{PREFIX}detections_limit", "Detections taken at a time, DEEPFAKE_MAX_IN_FLIGHT.", limit
        )


def add_metrics_route(app: OpenAPI, settings: GatewaySettings, registry: CollectorRegistry) -> None:
    """Serves the metrics as a route of the application, under the application's rules for access."""
    security, key_codes = keyed(settings.api_keys_file is not None)
    as_text = {"description": "The metrics.", "content": {"text/plain": _TEXT}}

    @app.get(
        "/metrics",
        operation_id="showMetrics",
        tags=[OPERATION],
        responses={200: as_text, **failures("INTERNAL", *key_codes)},
        security=security,
    )
    def metrics() -> Response:
        """Read the metrics, in Prometheus's text format.

        The route is there where HOST is loopback and DEEPFAKE_METRICS_PORT is 0.
        """
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
