"""The application factory."""

import logging
from collections.abc import Callable
from typing import NoReturn

from deepfake_client import ClientSettings, Detector, create_detector
from deepfake_client.media import Frame
from deepfake_client.scorer import FrameScorer
from deepfake_client.video.isolated import DecodeLimits, IsolatedDecoder
from deepfake_client.video.sample import sample_video
from flask import Response, jsonify
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway.access.api_keys import ApiKeys
from gateway.access.authentication import require_api_key
from gateway.access.cors import allow_origins
from gateway.access.security_headers import add_security_headers
from gateway.body_readers import BodyReaders
from gateway.client_limits import ClientLimits
from gateway.early_refusals import EarlyRefusals
from gateway.error_responses import register_error_handlers
from gateway.errors import MalformedRequestError
from gateway.following_scorer import FollowingScorer
from gateway.media.media_root import MediaRoot
from gateway.metrics_folder import reserve_files
from gateway.observe.telemetry import Telemetry
from gateway.page.pages import pages
from gateway.request_context import Services, install, services
from gateway.routes.api_document import complete_document
from gateway.routes.detect import detect
from gateway.routes.health import health, project_version
from gateway.routes.inference import inference
from gateway.routes.model_card import model_card
from gateway.routes.schemas import ErrorResponse, describe_violations
from gateway.scoring.admission import Admission, VideoTurns
from gateway.scoring.disconnects import DisconnectWatch
from gateway.scoring.health_monitor import HealthMonitor, WatchedScorer
from gateway.scoring.observed_detection import ObservedDetector
from gateway.scoring.score_cache import CachingScorer
from gateway.settings import GatewaySettings
from gateway.strict_json import use_strict_json
from gateway.unread_bodies import UnreadBodies


def create_app(settings: GatewaySettings | None = None, detector: Detector | None = None) -> OpenAPI:
    """Makes the WSGI application.

    Args:
        settings: From the environment by default.
        detector: What scores; by default a client of the Triton server at `TRITON_URL`, which connects at its first
            request and so never before the worker process has forked. The application takes it over.
    """
    settings = settings or GatewaySettings()
    app = OpenAPI(
        "gateway",
        info=Info(title="Deepfake detection", version=project_version()),
        doc_ui=False,
        static_folder=None,
        validation_error_status=400,
        validation_error_model=ErrorResponse,
        validation_error_callback=_refuse,
        responses=dict.fromkeys((403, 413, 415, 422, 500, 503, 504), ErrorResponse),
    )
    use_strict_json(app, indent=settings.development)
    telemetry = _telemetry(settings)
    telemetry.install(app)
    shared = _services(settings, detector or _triton_detector(settings, telemetry), telemetry)
    install(app, shared)
    register_error_handlers(app)
    unread = UnreadBodies(settings.spare_threads)
    unread.install(app)
    keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file is not None else None
    if keys is not None:
        require_api_key(app, keys)
    add_security_headers(app, settings.hsts_max_age_s)
    allow_origins(app, settings.cors_origins)
    app.wsgi_app = EarlyRefusals(app.wsgi_app, shared, keys, unread, app.json)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]
    for blueprint in (health, model_card, inference, detect):
        app.register_api(blueprint)
    app.register_blueprint(pages)
    app.add_url_rule("/openapi.json", view_func=lambda: _document(app), endpoint="openapi")
    if settings.serves_metrics:
        _serve_metrics(app, shared)
    logging.getLogger("gateway").setLevel(logging.DEBUG if settings.development else logging.INFO)
    return app


def _telemetry(settings: GatewaySettings) -> Telemetry:
    """Imports what it needs only where it is on: see `gateway.observe.metrics` and `gateway.observe.tracing`."""
    metrics, tracing = None, None
    if settings.metrics_enabled and reserve_files():
        from gateway.observe.metrics import GatewayMetrics

        metrics = GatewayMetrics()
    if settings.otel_exporter_otlp_endpoint:
        from gateway.observe.tracing import Tracing

        tracing = Tracing(settings.otel_exporter_otlp_endpoint, project_version())
    return Telemetry(metrics, tracing)


def _serve_metrics(app: OpenAPI, shared: Services) -> None:
    from gateway.observe.metrics_page import metrics_page, serve_metrics

    page = metrics_page(shared.telemetry.metrics, shared.settings, shared.monitor)
    serve_metrics(app, page, shared.settings.metrics_port)


def _triton_detector(settings: GatewaySettings, telemetry: Telemetry) -> Detector:
    client_settings = ClientSettings(outage_wait_s=settings.triton_outage_wait_s)
    if settings.triton_url_file is None:
        return create_detector(settings.triton_url, client_settings, telemetry)

    def make(url: str) -> FrameScorer:
        return create_detector(url, client_settings.model_copy(update={"outage_wait_s": 0.0}), telemetry).scorer

    scorer = FollowingScorer(settings.triton_url_file, make, settings.triton_outage_wait_s)
    return Detector(scorer, client_settings)


def _services(settings: GatewaySettings, detector: Detector, telemetry: Telemetry) -> Services:
    scorer = WatchedScorer(detector.scorer)
    # The cache is above what health sees: a remembered score proves nothing.
    frames = settings.score_cache_frames
    answering = CachingScorer(scorer, frames, telemetry.cache_looked_up) if frames else scorer
    return Services(
        settings=settings,
        detector=ObservedDetector(answering, detector.settings, _video_decoder(settings), telemetry),
        media_root=MediaRoot(settings.media_root),
        monitor=HealthMonitor(scorer, settings.health_fresh_s, settings.canary_timeout_s),
        admission=Admission(settings.max_in_flight, settings.retry_after_s),
        videos=VideoTurns(settings.max_video_decodes, settings.retry_after_s),
        readers=BodyReaders(settings.max_body_readers, settings.retry_after_s),
        disconnects=DisconnectWatch(),
        telemetry=telemetry,
        client_limits=ClientLimits(
            settings.rate_limit_per_minute, settings.max_in_flight_per_client, settings.retry_after_s
        ),
    )


def _video_decoder(settings: GatewaySettings) -> Callable[..., list[Frame]]:
    if not settings.video_decode_process:
        return sample_video
    return IsolatedDecoder(DecodeLimits(settings.video_decode_s, settings.video_decode_bytes)).sample_video


def _document(app: OpenAPI) -> Response:
    settings = services().settings
    limited = bool(settings.rate_limit_per_minute or settings.max_in_flight_per_client)
    return jsonify(complete_document(app.api_doc, settings.api_keys_file is not None, limited))


def _refuse(error: ValidationError) -> NoReturn:
    raise MalformedRequestError(describe_violations(error), "MALFORMED_REQUEST")
