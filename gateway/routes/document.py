"""The OpenAPI document: what the library derives from models and docstrings, and the few things that it leaves out."""

import copy
from typing import Any

from flask import Response, jsonify, request
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI

from gateway.errors import CODES
from gateway.routes.document_examples import add_examples
from gateway.routes.schemas import DetectForm, DetectJson, DetectOptions, ErrorResponse

DESCRIPTION = """Tells how likely an image or a video is a deepfake.

Every answer carries an `X-Request-ID`: the caller's own, or one made for the request. Every error is JSON with a `code`
for programs, a `message` that says what is wrong and what to do, and the `request_id`.

A `Host` that is not among DEEPFAKE_ALLOWED_HOSTS is refused with 400 `HOST_NOT_ALLOWED`. Pages of other origins may
call the service where DEEPFAKE_CORS_ORIGINS names these.

A score is a model's estimate, not proof. Where `trained` is false the scores mean nothing at all."""

DETECTION = Tag(name="Detection", description="From media to scores and verdicts.")
OPERATION = Tag(name="Operation", description="Whether the service works.")

SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Your API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}

SERVICE_CODES = (
    "INTERNAL", "CONFIGURATION", "OVERLOADED", "MODEL_UNAVAILABLE", "PREPROCESS_UNAVAILABLE", "RELEASES_DIFFER",
    "MODEL_NOT_SERVED", "MODEL_FAULT", "SERVER_NOT_TRUSTED", "DEADLINE",
)  # fmt: skip
"""What a route that asks the model may fail with, whatever it was sent."""

_KEY_CODES = ("API_KEY_REQUIRED", "API_KEY_INVALID", "KEYS_UNAVAILABLE")
_HEADERS = {
    "OVERLOADED": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
    "API_KEY_REQUIRED": {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}},
}
_REQUEST_ID_HEADER = {"description": "The request's id.", "schema": {"type": "string"}}


_FILE_ITSELF = {"schema": {"type": "string", "format": "binary"}}

UPLOAD: dict[str, Any] = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "description": f"As `{name}` of the form, for a body that is the file itself.",
            "schema": {key: value for key, value in field.items() if key in ("type", "enum", "items")},
        }
        for name, field in DetectOptions.model_json_schema()["properties"].items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"$ref": "#/components/schemas/DetectForm"},
                "encoding": {"include": {"style": "form", "explode": True}},
            },
            "application/json": {"schema": {"$ref": "#/components/schemas/DetectJson"}},
            **dict.fromkeys(("image/*", "video/*", "application/octet-stream"), _FILE_ITSELF),
        },
    },
}
"""The body of POST /detect, of which the library can describe one form alone, and the query that goes with any."""


def failures(*codes: str) -> dict[str | int, Any]:
    """The failing responses of a route, by status.

    Args:
        codes: Every code that the route may answer, keys of `CODES`.
    """
    responses: dict[str | int, Any] = {}
    for code in codes:
        meaning = f"`{code}`: {CODES[code].meaning}"
        example = ErrorResponse(
            error=CODES[code].title,
            message=CODES[code].meaning,
            code=code,
            request_id="0d8c3f5d2b7f4f0c9a3d6c1f5f3f0f11",
        )
        media = {
            "schema": {"$ref": f"#/components/schemas/{ErrorResponse.__name__}"},
            "example": example.model_dump(exclude_none=True),
        }
        response = responses.setdefault(
            CODES[code].status, {"description": "", "headers": {}, "content": {"application/json": media}}
        )
        response["description"] = f"{response['description']} {meaning}".lstrip()
        response["headers"] |= _HEADERS.get(code, {})
    return responses


def keyed(needs_key: bool) -> tuple[list[dict[str, list[str]]] | None, tuple[str, ...]]:
    """The `security` of an operation, and the codes that come with API keys."""
    return ([{scheme: []} for scheme in SECURITY_SCHEMES], _KEY_CODES) if needs_key else (None, ())


def add_document_route(app: OpenAPI) -> None:
    """Serves the document as a route of the application."""
    as_json = {"description": "The document.", "content": {"application/json": {"schema": {"type": "object"}}}}

    @app.get(
        "/openapi.json",
        operation_id="showDocument",
        tags=[OPERATION],
        responses={200: as_json, **failures("INTERNAL")},
    )
    def openapi() -> Response:
        """Read this document.

        OpenAPI 3.1. Each operation has `x-codeSamples`, with the address at which the document was asked for.
        """
        return jsonify(complete(app.api_doc, request.url_root.rstrip("/")))


def complete(derived: dict[str, Any], server: str) -> dict[str, Any]:
    """The document that is served.

    Args:
        derived: The library's, which is left as it is.
        server: The gateway's address as the caller knows it, without a slash at its end.
    """
    document = copy.deepcopy(derived)
    document["servers"] = [{"url": server}]
    document["components"] = {name: part for name, part in document["components"].items() if part is not None}
    document["components"]["schemas"] |= {
        model.__name__: model.model_json_schema() for model in (DetectForm, DetectJson)
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            add_examples(path, operation, server)
            operation["description"] = operation["description"].replace("<br/>", " ").strip()
            operation["summary"] = operation["summary"].rstrip(".")
            if "requestBody" not in operation:
                operation["responses"].pop("400", None)  # the library says it of every route
            for status, response in operation["responses"].items():
                if int(status) < 400:  # of errors the document says it once
                    response.setdefault("headers", {})["X-Request-ID"] = _REQUEST_ID_HEADER
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
            # Swagger UI sends a default of null as the text "null".
            if "default" in field and field["default"] is None:
                del field["default"]
    return document
