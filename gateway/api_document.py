"""The OpenAPI document: what the library derives from the routes, and what it cannot know of them.

The library describes requests and good answers. Every error, the headers, the words and the examples are added here.
"""

import copy
from typing import Any

from gateway.api_reference import DESCRIPTION, INFERENCE_REQUESTS, ROUTES, TAGS, Failure, Route
from gateway.errors import OverloadedRequestError
from gateway.schemas import DetailedInferenceResponse

_SCHEMAS = "#/components/schemas/"
_REQUEST_ID_HEADER = {"description": "The request's id.", "schema": {"type": "string"}}


def complete_document(derived: dict[str, Any]) -> dict[str, Any]:
    """The document that is served.

    Args:
        derived: The library's, which is left as it is.
    """
    document = copy.deepcopy(derived)
    document["info"]["description"] = DESCRIPTION
    document["tags"] = copy.deepcopy(TAGS)
    schemas = document["components"]["schemas"]
    document["components"] = {"schemas": schemas}  # the library adds a null for security schemes, which is invalid
    _add_model(schemas)
    for route in ROUTES:
        _complete(document["paths"][route.path][route.method], route)
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
    responses.update({str(failure.error.status): _failure_response(failure) for failure in route.failures})
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-ID"] = copy.deepcopy(_REQUEST_ID_HEADER)
    operation["responses"] = responses


def _failure_response(failure: Failure) -> dict[str, Any]:
    example = {
        "error": failure.error.title, "message": failure.message, "code": failure.code,
        "request_id": "0d8c3f5d2b7f4f0c9a3d6c1f5f3f0f11",
    }  # fmt: skip
    media = {"schema": {"$ref": f"{_SCHEMAS}ErrorResponse"}, "example": example}
    response: dict[str, Any] = {"description": failure.meaning, "content": {"application/json": media}}
    if failure.error is OverloadedRequestError:
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait, for `OVERLOADED`.", "schema": {"type": "integer"}}
        }
    return response


def _drop_noise(schema: dict[str, Any]) -> None:
    """Without titles such as Extractedframes, and without null defaults, which Swagger UI sends as the text "null"."""
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if "default" in field and field["default"] is None:
            del field["default"]
