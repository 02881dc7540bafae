"""The application factory."""

import logging
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import NoReturn

from flask import g
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError
from werkzeug.middleware.proxy_fix import ProxyFix

from deepfake_client import ClientSettings, Detector, create_detector
from deepfake_client.media import Frame, Media
from deepfake_client.video.isolated import DecodeLimits, IsolatedDecoder
from deepfake_client.video.memory import memory_limit_bytes
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling, VideoDecoder
from gateway import request_context
from gateway.access.api_keys import ApiKeys, require_api_key
from gateway.access.browsers import add_security_headers, allow_hosts, allow_origins
from gateway.errors import ApiError, register_error_handlers
from gateway.observe.telemetry import Telemetry
from gateway.page.pages import pages
from gateway.routes.admission import VideoTurns
from gateway.routes.detect import detect_route
from gateway.routes.document import DESCRIPTION, SECURITY_SCHEMES, add_document_route
from gateway.routes.inference import inference_route
from gateway.routes.operation import ServiceState, add_metrics_route, operation_routes
from gateway.routes.schemas import ErrorResponse, describe_violations
from gateway.scoring.caching_scorer import CachingScorer
from gateway.scoring.health_monitor import HealthMonitor
from gateway.settings import MIN_DECODE_BYTES, GatewaySettings
from gateway.strict_json import use_strict_json
from gateway.version import project_version


@dataclass(frozen=True)
class Parts:
    """What an application is made of, as `app.extensions["deepfake_gateway"]`: for whoever runs it, not for routes."""

    detector: Detector
    telemetry: Telemetry
    slots: BoundedSemaphore
    videos: VideoTurns


def create_app(settings: GatewaySettings | None = None, detector: Detector | None = None) -> OpenAPI:
    """Makes the WSGI application.

    Args:
        settings: From the environment by default.
        detector: What scores; by default a client of the Triton server at the setting's address, which connects at its
            first request and so never before a server has forked its workers. The application takes it over.
    """
    settings = settings or GatewaySettings()
    logging.getLogger("gateway").setLevel(logging.DEBUG if settings.development else logging.INFO)
    needs_key = settings.api_keys_file is not None
    app = OpenAPI(
        "gateway",
        info=Info(title="Deepfake detection", version=project_version(), description=DESCRIPTION),
        security_schemes=SECURITY_SCHEMES if needs_key else None,
        doc_ui=False,
        static_folder=None,
        validation_error_status=400,
        validation_error_model=ErrorResponse,
        validation_error_callback=_refuse,
    )
    use_strict_json(app, indent=settings.development)
    telemetry = _telemetry(settings)
    telemetry.install(app)
    request_context.install(app, settings.request_deadline_s)
    register_error_handlers(app, settings.retry_after_s)
    allow_hosts(app, f"{settings.allowed_hosts},{settings.host}")
    if settings.api_keys_file is not None:
        require_api_key(app, ApiKeys(settings.api_keys_file))
    add_security_headers(app)
    allow_origins(app, settings.cors_origins)
    if count := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]
    if detector is None:
        client_settings = ClientSettings(
            outage_wait_s=settings.triton_outage_wait_s,
            further_frames=settings.further_frames,
            preprocess_url=settings.preprocess_url,
        )
        detector = create_detector(settings.triton_url, client_settings, telemetry)
    _add_routes(app, settings, detector, telemetry)
    return app


def _add_routes(app: OpenAPI, settings: GatewaySettings, detector: Detector, telemetry: Telemetry) -> None:
    cache_frames = settings.score_cache_frames
    scorer = CachingScorer(detector.scorer, cache_frames, telemetry, client=lambda: g.get("client", ""))
    client_settings = detector.settings.model_copy(update={"provenance": settings.provenance})
    detector = Detector(scorer, client_settings, _video_decoder(settings, telemetry))
    monitor = HealthMonitor(scorer, settings.health_fresh_s, settings.canary_timeout_s)
    slots = BoundedSemaphore(settings.max_in_flight)
    videos = VideoTurns(settings.max_video_decodes, settings.retry_after_s)
    app.extensions["deepfake_gateway"] = Parts(detector, telemetry, slots, videos)
    app.register_api(detect_route(settings, detector, slots, videos, telemetry))
    app.register_api(inference_route(settings, detector, slots, telemetry))
    app.register_api(operation_routes(settings, scorer, monitor))
    app.register_blueprint(pages(settings))
    telemetry.metrics.registry.register(ServiceState(settings, monitor))
    if settings.metrics_route:
        add_metrics_route(app, settings, telemetry.metrics.registry)
    add_document_route(app)


def _telemetry(settings: GatewaySettings) -> Telemetry:
    if not settings.otel_exporter_otlp_endpoint:
        return Telemetry()
    from gateway.observe.tracing import Tracing  # its libraries are an extra

    return Telemetry(tracing=Tracing(settings.otel_exporter_otlp_endpoint, project_version()))


def _video_decoder(settings: GatewaySettings, telemetry: Telemetry) -> VideoDecoder:
    decode: VideoDecoder = sample_video
    if settings.video_decode_process:
        decode = IsolatedDecoder(DecodeLimits(settings.video_decode_s, decode_bytes(settings))).sample_video

    def traced(media: Media, sampling: Sampling) -> list[Frame]:
        with telemetry.step("read frames"):
            return decode(media, sampling)

    return traced


def decode_bytes(settings: GatewaySettings, limit_bytes: int | None = None) -> int:
    """Most memory of one decoder: the setting, but all of them together take half of what a container may use.

    Args:
        settings: The gateway's.
        limit_bytes: What the container may use, by default the limit of this process's control group.
    """
    limit_bytes = limit_bytes or memory_limit_bytes()
    if limit_bytes is None:
        return settings.video_decode_bytes
    share = max(limit_bytes // (2 * settings.max_video_decodes), MIN_DECODE_BYTES)
    return min(settings.video_decode_bytes, share)


def _refuse(error: ValidationError) -> NoReturn:
    raise ApiError("MALFORMED_REQUEST", describe_violations(error))
