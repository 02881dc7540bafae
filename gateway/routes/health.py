"""GET /health: 200 when a real inference can be served now, else 503."""

from datetime import UTC, datetime

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint

from gateway.routes.document import OPERATION, failures
from gateway.routes.schemas import HealthResponse
from gateway.scoring.health_monitor import HealthMonitor
from gateway.version import project_version

SERVICE = "deepfake-detection-ml-service"


def health_route(monitor: HealthMonitor) -> APIBlueprint:
    """The route, for a monitor."""
    health = APIBlueprint("health", __name__, abp_tags=[OPERATION])

    @health.get(
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

    return health
