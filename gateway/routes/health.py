"""GET /health: 200 when a real inference can be served now, else 503."""

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint

from gateway.request_context import services
from gateway.routes.schemas import HealthResponse

SERVICE = "deepfake-detection-ml-service"
DISTRIBUTION = "deepfake-serving"

health = APIBlueprint("health", __name__)


@health.get("/health", responses={200: HealthResponse, 503: HealthResponse})
def check_health() -> tuple[Response, int]:
    """Tell whether an inference can be served now."""
    checked = services().monitor.check()
    info = checked.info
    answer = HealthResponse(
        status="healthy" if checked.healthy else "unhealthy",
        service=SERVICE,
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


def project_version() -> str:
    """The installed version of this project."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
