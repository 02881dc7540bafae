"""The HTTP gateway: validates requests, reads frames, asks Triton through `client`, answers JSON. It holds no model."""

from gateway.app import create_app
from gateway.settings import GatewaySettings

__all__ = ["GatewaySettings", "create_app"]
