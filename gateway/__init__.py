"""The HTTP gateway: checks requests, reads frames, asks Triton by `deepfake_client`, answers JSON. It has no model."""

from gateway.app import create_app
from gateway.settings import GatewaySettings

__all__ = ["GatewaySettings", "create_app"]
