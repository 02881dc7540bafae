"""What a request handler can reach: the application's services, and this request's id, start and deadline."""

import re
import time
import uuid
from dataclasses import dataclass

from deepfake_client import Detector
from deepfake_client.scorer import Deadline
from flask import Flask, Response, current_app, g, request

from gateway.body_readers import BodyReaders
from gateway.client_limits import ClientLimits, client_of_address
from gateway.media.media_root import MediaRoot
from gateway.observe.telemetry import Telemetry
from gateway.scoring.admission import Admission, VideoTurns
from gateway.scoring.disconnects import DisconnectWatch
from gateway.scoring.health_monitor import HealthMonitor
from gateway.settings import GatewaySettings

REQUEST_ID_HEADER = "X-Request-ID"
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_EXTENSION = "deepfake_gateway"


@dataclass(frozen=True)
class Services:
    """The objects that all requests of one worker process share; each is thread-safe."""

    settings: GatewaySettings
    detector: Detector
    media_root: MediaRoot
    monitor: HealthMonitor
    admission: Admission
    videos: VideoTurns
    readers: BodyReaders
    disconnects: DisconnectWatch
    client_limits: ClientLimits
    telemetry: Telemetry


def install(app: Flask, shared: Services) -> None:
    """Gives each request of the application an id, a start and a deadline, and echoes the id."""
    app.extensions[_EXTENSION] = shared
    app.before_request(_begin)
    app.after_request(_echo_request_id)


def services() -> Services:
    """The services of the application that handles the current request."""
    shared: Services = current_app.extensions[_EXTENSION]
    return shared


def sane_request_id(sent: str) -> str:
    """The id that a caller sent if it is short and plain, else one made now."""
    return sent if _ACCEPTED_ID.fullmatch(sent) else uuid.uuid4().hex


def current_request_id() -> str:
    """The caller's X-Request-ID if it is a sane one, else an id made for this request."""
    if "request_id" not in g:
        g.request_id = sane_request_id(request.headers.get(REQUEST_ID_HEADER, ""))
    request_id: str = g.request_id
    return request_id


def current_client() -> str:
    """Who sends the request: `key:NAME` with an API key, else `address:...`."""
    client: str = g.get("client") or client_of_address(request.remote_addr)
    return client


def request_deadline() -> Deadline:
    """The deadline of the current request; its clock started when the request's headers had arrived."""
    deadline: Deadline = g.deadline
    return deadline


def elapsed_ms() -> int:
    """Wall time since the request began, in milliseconds."""
    started_at: float = g.started_at
    return round((time.monotonic() - started_at) * 1000)


def _begin() -> None:
    g.started_at = time.monotonic()
    g.deadline = Deadline(services().settings.request_deadline_s)


def _echo_request_id(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = current_request_id()
    return response
