"""The HTTP gateway: checks requests, reads frames, asks Triton by `deepfake_client`, answers JSON. It has no model."""

from typing import TYPE_CHECKING, Any

from gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from gateway.app import create_app

__all__ = ["GatewaySettings", "create_app"]


def __getattr__(name: str) -> Any:
    """Imports the application when it is asked for: the help of the commands does without Flask."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gateway.app import create_app

    return create_app
