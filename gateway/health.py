"""GET /health: 200 when a real inference can be served now, else 503."""

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint

from gateway.request_context import services
from gateway.schemas import HealthResponse, IdentifiedHealthResponse

SERVICE = "deepfake-detection-ml-service"
DISTRIBUTION = "deepfake-serving"

health = APIBlueprint("health", __name__)


@health.get("/health", responses={200: IdentifiedHealthResponse, 503: HealthResponse})
def check_health() -> tuple[Response, int]:
    """Tell whether an inference can be served now."""
    checked = services().monitor.check()
    answer = HealthResponse(
        status="healthy" if checked.healthy else "unhealthy",
        service=SERVICE,
        version=project_version(),
        model=checked.info.name if checked.info else "unknown",
        model_status="loaded" if checked.healthy else "not_loaded",
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    if checked.info is not None:
        answer = IdentifiedHealthResponse(
            **answer.model_dump(),
            release_id=checked.info.release_id,
            precision=checked.info.precision,
            trained=checked.info.trained,
            notice=checked.info.notice,
        )
    return jsonify(answer.model_dump()), 200 if checked.healthy else 503


def project_version() -> str:
    """The installed version of this project."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
