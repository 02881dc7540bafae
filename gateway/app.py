"""The application factory."""

import logging
from typing import NoReturn

from flask import Response, jsonify
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError

from client import ClientSettings, Detector, create_detector
from gateway.admission import Admission, VideoTurns
from gateway.api_document import complete_document
from gateway.body_readers import BodyReaders
from gateway.detect import detect
from gateway.error_responses import register_error_handlers
from gateway.errors import MalformedRequestError
from gateway.health import health, project_version
from gateway.health_monitor import HealthMonitor, WatchedScorer
from gateway.inference import inference
from gateway.media_root import MediaRoot
from gateway.pages import pages
from gateway.request_context import Services, install
from gateway.schemas import ErrorResponse, describe_violations
from gateway.score_cache import CachingScorer
from gateway.security_headers import add_security_headers
from gateway.settings import GatewaySettings
from gateway.strict_json import use_strict_json


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
    install(app, _services(settings, detector or _triton_detector(settings)))
    register_error_handlers(app)
    add_security_headers(app)
    for blueprint in (health, inference, detect):
        app.register_api(blueprint)
    app.register_blueprint(pages)
    app.add_url_rule("/openapi.json", view_func=lambda: _document(app), endpoint="openapi")
    logging.getLogger("gateway").setLevel(logging.DEBUG if settings.development else logging.INFO)
    return app


def _triton_detector(settings: GatewaySettings) -> Detector:
    return create_detector(settings.triton_url, ClientSettings(outage_wait_s=settings.triton_outage_wait_s))


def _services(settings: GatewaySettings, detector: Detector) -> Services:
    scorer = WatchedScorer(detector.scorer)
    # The cache is above what health sees: a remembered score proves nothing.
    answering = CachingScorer(scorer, settings.score_cache_frames) if settings.score_cache_frames else scorer
    return Services(
        settings=settings,
        detector=Detector(answering, detector.settings),
        media_root=MediaRoot(settings.media_root),
        monitor=HealthMonitor(scorer, settings.health_fresh_s, settings.canary_timeout_s),
        admission=Admission(settings.max_in_flight, settings.retry_after_s),
        videos=VideoTurns(settings.max_video_decodes, settings.retry_after_s),
        readers=BodyReaders(settings.max_body_readers, settings.retry_after_s),
    )


def _document(app: OpenAPI) -> Response:
    return jsonify(complete_document(app.api_doc))


def _refuse(error: ValidationError) -> NoReturn:
    raise MalformedRequestError(describe_violations(error), "MALFORMED_REQUEST")
