"""Lets in who sends a valid API key, where keys are asked for."""

import logging

from flask import Flask, g, request

from gateway.access.api_keys import ApiKeys, KeyFileError
from gateway.errors import KeysUnavailableError, UnauthenticatedError

_LOG = logging.getLogger("gateway")

_OPEN = {"health", "model_card", "pages"}
"""Blueprints that need no key: load balancers ask for health without one, the page asks its reader for it, and the card
tells whom it may concern what they are judged by.
Everything else does, a route that is added later included."""

_OPEN_ENDPOINTS = {"openapi", None}
"""None: no such route, which needs no key to be told."""


def require_api_key(app: Flask, keys: ApiKeys) -> None:
    """Refuses all requests of an application without a key, but for its open routes, before their bodies are read."""

    @app.before_request
    def check() -> None:
        # Browsers ask what they may send (OPTIONS) without the key.
        if request.method == "OPTIONS" or request.blueprint in _OPEN or request.endpoint in _OPEN_ENDPOINTS:
            return
        g.client = f"key:{_owner(keys)}"


def _owner(keys: ApiKeys) -> str:
    key = sent_key(request.headers.get("Authorization", ""), request.headers.get("X-API-Key", ""))
    if not key:
        raise UnauthenticatedError(
            "Send your API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", "API_KEY_REQUIRED"
        )
    try:
        owner = keys.owner(key)
    except KeyFileError as error:
        _LOG.error("nobody can be let in: %s", error)
        raise KeysUnavailableError(
            "The service cannot read its API keys now. Try again shortly.", "KEYS_UNAVAILABLE"
        ) from error
    if owner is None:
        raise UnauthenticatedError(
            "The API key is not valid: mistyped, or taken out of use. Ask whoever runs the service.", "API_KEY_INVALID"
        )
    return owner


def sent_key(authorization: str, x_api_key: str) -> str:
    """The key in a request's two headers, "" if there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else x_api_key.strip()
