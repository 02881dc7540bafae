"""/openapi.json: complete, consistent with itself, and true of real answers."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.routes.schemas import DetectResponse, HealthResponse, InferenceResponse
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_detect import upload
from tests.inference_server import jpeg
from tests.media import photo

METHODS = [
    ("/detect", "post"), ("/api/v1/inference", "post"), ("/health", "get"), ("/model-card", "get"), ("/metrics", "get"),
    ("/openapi.json", "get"),
]  # fmt: skip


@pytest.fixture
def document(gateway: Gateway) -> dict[str, Any]:
    body: dict[str, Any] = gateway.http.get("/openapi.json").json
    return body


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def values(node: Any, key: str) -> Iterator[Any]:
    """Every value of a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values(value, key)


def conforms(document: dict[str, Any], schema: dict[str, Any], instance: Any) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(instance)


def response_schema(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    schema: dict[str, Any] = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"][
        "schema"
    ]
    return schema


def test_every_route_of_the_api_is_described(document: dict[str, Any]) -> None:
    assert [(path, method) for path, method, _ in operations(document)] == METHODS
    for path, _, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert document["info"]["description"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = list(values(document, "$ref"))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


def test_schemas_are_schemas(document: dict[str, Any]) -> None:
    assert None not in document["components"].values()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_error_is_described_with_an_example_that_conforms(document: dict[str, Any]) -> None:
    expected = {
        "/health": {"500"},
        "/metrics": {"500"},
        "/openapi.json": {"500"},
        "/model-card": {"404", "500", "503", "504"},
        "/api/v1/inference": {"400", "403", "413", "415", "422", "500", "503", "504"},
        "/detect": {"400", "413", "415", "422", "500", "503", "504"},
    }
    for path, _, operation in operations(document):
        errors = {status for status in operation["responses"] if int(status) >= 400}
        assert errors - {"503"} == expected[path] - {"503"}
        for status in expected[path]:
            media = operation["responses"][status]["content"]["application/json"]
            assert media["schema"] == {"$ref": "#/components/schemas/ErrorResponse"}
            assert media["example"]["code"] in operation["responses"][status]["description"]
            conforms(document, media["schema"], media["example"])


def test_the_card_is_text_and_the_example_of_a_request_conforms(document: dict[str, Any]) -> None:
    assert list(document["paths"]["/model-card"]["get"]["responses"]["200"]["content"]) == [
        "text/markdown",
        "text/html",
    ]
    body = document["components"]["schemas"]["InferenceRequest"]
    conforms(document, body, body["example"])


def test_examples_of_answers_are_whole(document: dict[str, Any]) -> None:
    """Each has what a real answer has, and nothing else."""
    models = {"/detect": DetectResponse, "/api/v1/inference": InferenceResponse, "/health": HealthResponse}
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            media = response.get("content", {}).get("application/json", {})
            examples = media.get("examples", {})
            assert bool(examples) == (path in models and (status == "200" or (path, status) == ("/health", "503")))
            for example in examples.values():
                conforms(document, media["schema"], example["value"])
                read = models[path].model_validate(example["value"])
                assert read.model_dump(mode="json", exclude_unset=path != "/detect") == example["value"]
    detect = document["paths"]["/detect"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]
    assert {name: example["value"]["metadata"]["input_type"] for name, example in detect.items()} == {
        "image": "image", "video": "video",
    }  # fmt: skip


def test_every_call_has_programs_with_the_address_that_was_asked(gateway: Gateway) -> None:
    document = gateway.http.get("/openapi.json", base_url="https://localhost:8443/detection").json
    (server,) = document["servers"]
    assert server == {"url": "https://localhost:8443/detection"}
    for path, _, operation in operations(document):
        samples = {sample["label"]: sample for sample in operation["x-codeSamples"]}
        assert list(samples) == ["curl", "Python", *(["Python, gRPC client"] * (path == "/detect")), "JavaScript"]
        for label in ("curl", "Python", "JavaScript"):
            assert f"{server['url']}{path}" in samples[label]["source"]
        assert {sample["lang"] for sample in samples.values()} == {"Shell", "Python", "JavaScript"}
        assert not any("API_KEY" in sample["source"] for sample in samples.values())


def test_programs_send_a_key_where_one_is_needed(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.touch(0o600)
    document = gateway.configure(api_keys_file=keys).http.get("/openapi.json").json
    for path, _, operation in operations(document):
        over_http = [sample for sample in operation["x-codeSamples"] if "gRPC" not in sample["label"]]
        sends_key = {"API_KEY" in sample["source"] and "Authorization" in sample["source"] for sample in over_http}
        assert sends_key == {path in ("/detect", "/api/v1/inference", "/metrics")}, path


def test_real_answers_conform(gateway: Gateway, document: dict[str, Any]) -> None:
    gateway.write("a.jpg", "p=0.7")
    for keys in ({}, {"include": ["frames"]}):
        answer = gateway.infer(mediaType="IMAGE", extractedFrames="a.jpg", **keys).json
        conforms(document, response_schema(document, "/api/v1/inference", "post", 200), answer)
    conforms(document, response_schema(document, "/health", "get", 200), gateway.http.get("/health").json)
    detected = upload(gateway, jpeg("p=0.7 face"), include="scores").json
    conforms(document, response_schema(document, "/detect", "post", 200), detected)
    examined = upload(gateway, photo("astronaut.png").read_bytes(), include=["stability", "sensitivity"]).json
    conforms(document, response_schema(document, "/detect", "post", 200), examined)
    unscored = upload(gateway, jpeg("status=6"))
    conforms(document, response_schema(document, "/detect", "post", 422), unscored.json)


def test_the_form_describes_include(document: dict[str, Any]) -> None:
    form = document["components"]["schemas"]["DetectForm"]["properties"]
    assert form["include"]["items"]["enum"] == [
        "thumbnails", "all_thumbnails", "crops", "scores", "models", "stability", "sensitivity", "further_frames",
    ]  # fmt: skip
    assert form["include"]["type"] == "array"
    assert form["type"]["enum"] == ["", "image", "video"]
    assert list(form) == ["file", "type", "include", "case_number", "note"]
    assert "thumbnails" in document["components"]["schemas"]["DetectMetadata"]["properties"]


def test_the_report_is_described(document: dict[str, Any]) -> None:
    answer = document["paths"]["/detect"]["post"]["responses"]["200"]
    assert list(answer["content"]) == ["application/json", "text/html"]
    assert {"X-Release-ID", "X-Request-ID"} <= set(answer["headers"])
    form = document["components"]["schemas"]["DetectForm"]["properties"]
    assert (form["case_number"]["maxLength"], form["note"]["maxLength"]) == (80, 1000)


def test_every_score_says_what_it_is_and_what_it_is_not(document: dict[str, Any]) -> None:
    answer = document["components"]["schemas"]["InferenceResponse"]
    said = {name: field.get("description", "") for name, field in answer["properties"].items()}
    ten = list(said)[:10]
    assert ten[-2:] == ["model_version", "inference_time"]
    assert all(said[name] for name in ten)
    assert "no sound is analysed" in said["audio_score"]
    assert "not analysed" in said["gan_fingerprint"]
    assert "nothing about motion. Of a still it is always 100" in " ".join(said["temporal_consistency"].split())
    details = document["components"]["schemas"]["DetectMetadata"]["properties"]
    undescribed = [
        name
        for name in ("deciding_person", "thumbnails", "crops", "segments", "stability")
        if not details[name].get("description")
    ]
    assert undescribed == []


def test_a_form_sent_by_its_schema_alone_is_taken(gateway: Gateway, document: dict[str, Any]) -> None:
    """Swagger UI sends each property's default; a null went out as the text "null" and was refused."""
    form = document["components"]["schemas"]["DetectForm"]["properties"]
    sent = {name: str(field["default"]) for name, field in form.items() if field.get("default") not in (None, [])}
    assert not any(field.get("default", ...) is None for field in form.values())
    data = {**sent, "file": (io.BytesIO(jpeg("p=0.7")), "x")}
    assert gateway.http.post("/detect", data=data).status_code == 200


def test_nothing_of_this_machine_is_in_it(gateway: Gateway) -> None:
    text = gateway.http.get("/openapi.json").text
    assert str(gateway.media_root) not in text
    for fragment in (str(Path(__file__).parents[3]), "/home", "/usr", "site-packages", "127.0.0.1"):
        assert fragment not in text
