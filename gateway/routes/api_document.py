"""The OpenAPI document: what the library derives from the routes, and what it cannot know of them.

The library describes requests and good answers. Every error, the headers, the words and the examples are added here.
"""

import copy
from typing import Any

from gateway.errors import OverloadedRequestError, RateLimitedError, UnauthenticatedError
from gateway.routes.api_examples import INFERENCE_REQUESTS
from gateway.routes.api_reference import (
    DESCRIPTION,
    KEY_FAILURE,
    KEYS_UNAVAILABLE,
    RATE_FAILURE,
    ROUTES,
    SECURITY_SCHEMES,
    TAGS,
    Failure,
    Route,
)
from gateway.routes.schemas import DetailedInferenceResponse

_SCHEMAS = "#/components/schemas/"
_REQUEST_ID_HEADER = {"description": "The request's id.", "schema": {"type": "string"}}


def complete_document(derived: dict[str, Any], needs_key: bool = False, limits_clients: bool = False) -> dict[str, Any]:
    """The document that is served.

    Args:
        derived: The library's, which is left as it is.
        needs_key: Whether an API key is asked for.
        limits_clients: Whether what one client may ask for is limited.
    """
    document = copy.deepcopy(derived)
    document["info"]["description"] = DESCRIPTION
    document["tags"] = copy.deepcopy(TAGS)
    schemas = document["components"]["schemas"]
    document["components"] = {"schemas": schemas}  # the library adds a null for security schemes, which is invalid
    _add_model(schemas)
    for route in ROUTES:
        operation = document["paths"][route.path][route.method]
        _complete(operation, route)
        if route.method == "post" and limits_clients:
            _add_failure(operation, RATE_FAILURE)
        if route.method == "post" and needs_key:
            _ask_for_key(operation)
    if needs_key:
        document["components"]["securitySchemes"] = copy.deepcopy(SECURITY_SCHEMES)
    inference = document["paths"]["/api/v1/inference"]["post"]
    inference["responses"]["200"]["content"]["application/json"]["schema"] = {
        "anyOf": [{"$ref": f"{_SCHEMAS}{name}"} for name in ("InferenceResponse", "DetailedInferenceResponse")]
    }
    inference["requestBody"]["content"]["application/json"]["examples"] = copy.deepcopy(INFERENCE_REQUESTS)
    for schema in schemas.values():
        _drop_noise(schema)
    return document


def _add_model(schemas: dict[str, Any]) -> None:
    """The one answer that no route declares, since the request decides between it and the plain one."""
    schema = DetailedInferenceResponse.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["DetailedInferenceResponse"] = schema


def _complete(operation: dict[str, Any], route: Route) -> None:
    operation.update(
        operationId=route.operation_id, summary=route.summary, description=route.description, tags=[route.tag]
    )
    derived = operation["responses"]
    responses = {str(status): {**derived[str(status)], "description": text} for status, text in route.good.items()}
    for status, example in route.examples.items():
        responses[str(status)]["content"]["application/json"]["example"] = copy.deepcopy(example)
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-ID"] = copy.deepcopy(_REQUEST_ID_HEADER)
    operation["responses"] = responses
    for failure in route.failures:
        _add_failure(operation, failure)


def _ask_for_key(operation: dict[str, Any]) -> None:
    operation["security"] = [{scheme: []} for scheme in SECURITY_SCHEMES]
    _add_failure(operation, KEY_FAILURE)
    operation["responses"]["503"]["description"] += KEYS_UNAVAILABLE


def _add_failure(operation: dict[str, Any], failure: Failure) -> None:
    response = _failure_response(failure)
    response.setdefault("headers", {})["X-Request-ID"] = copy.deepcopy(_REQUEST_ID_HEADER)
    operation["responses"][str(failure.error.status)] = response


def _failure_response(failure: Failure) -> dict[str, Any]:
    example = {
        "error": failure.error.title, "message": failure.message, "code": failure.code,
        "request_id": "0d8c3f5d2b7f4f0c9a3d6c1f5f3f0f11",
    }  # fmt: skip
    media = {"schema": {"$ref": f"{_SCHEMAS}ErrorResponse"}, "example": example}
    response: dict[str, Any] = {"description": failure.meaning, "content": {"application/json": media}}
    if failure.error in (OverloadedRequestError, RateLimitedError):
        meaning = f"Seconds to wait, for `{failure.code}`."
        response["headers"] = {"Retry-After": {"description": meaning, "schema": {"type": "integer"}}}
    if failure.error is UnauthenticatedError:
        response["headers"] = {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}}
    return response


def _drop_noise(schema: dict[str, Any]) -> None:
    """Without titles such as Extractedframes, and without null defaults, which Swagger UI sends as the text "null"."""
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if "default" in field and field["default"] is None:
            del field["default"]
