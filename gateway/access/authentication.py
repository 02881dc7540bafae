"""Lets in who sends a valid API key, where keys are asked for."""

import logging

from flask import Flask, request

from gateway.access.api_keys import ApiKeys, KeyFileError
from gateway.errors import ApiError

_LOG = logging.getLogger("gateway")

_OPEN = {"health", "model_card", "pages"}
"""Blueprints that need no key: load balancers ask for health without one, the page asks its reader for it, and the card
tells whom it may concern what they are judged by. Everything else needs one, a route that is added later included."""

_OPEN_ENDPOINTS = {"openapi", None}
"""None: no such route, which needs no key to be told."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="deepfake-detection"'}


def require_api_key(app: Flask, keys: ApiKeys) -> None:
    """Refuses all requests of an application without a key, but for its open routes, before their bodies are read."""

    @app.before_request
    def check() -> None:
        # Browsers ask what they may send (OPTIONS) without the key.
        if request.method == "OPTIONS" or request.blueprint in _OPEN or request.endpoint in _OPEN_ENDPOINTS:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "").strip()
        if not key:
            raise ApiError(
                "API_KEY_REQUIRED",
                "Send your API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
                headers=_CHALLENGE,
            )
        try:
            owner = keys.owner(key)
        except KeyFileError as error:
            _LOG.error("nobody can be let in: %s", error)
            raise ApiError("KEYS_UNAVAILABLE") from error
        if owner is None:
            raise ApiError(
                "API_KEY_INVALID",
                "The API key is not valid: mistyped, or taken out of use. Ask whoever runs the service.",
                headers=_CHALLENGE,
            )
