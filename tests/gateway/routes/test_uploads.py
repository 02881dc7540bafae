"""POST /detect: every form in which callers send a file, and what is refused by name."""

import base64
import gzip
import io
import json
from typing import Any

import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import upload, video
from tests.inference_server import jpeg

IMAGE = jpeg("p=0.25")
LARGE = IMAGE + b"\0" * 2_000_000


def part(name: str, content: bytes, *, file_name: str | None = None) -> bytes:
    file = f'; filename="{file_name}"' if file_name is not None else ""
    return f'--frontier\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def post_form(gateway: Gateway, *parts: bytes, query: str = "", **headers: str) -> Any:
    return gateway.http.post(
        f"/detect{query}",
        data=b"".join(parts) + b"--frontier--\r\n",
        content_type="multipart/form-data; boundary=frontier",
        headers=headers,
    )


def score(response: Any) -> float:
    assert response.status_code == 200, response.text
    value: float = response.json["confidence_score"]
    return value


@pytest.mark.parametrize("content", [IMAGE, LARGE], ids=["small", "2 MB"])
@pytest.mark.parametrize("file_name", [None, "", "photo.jpg"])
def test_a_file_needs_no_file_name(gateway: Gateway, content: bytes, file_name: str | None) -> None:
    """Node's form-data, axios and superagent send a Buffer without one."""
    response = post_form(gateway, part("file", content, file_name=file_name), part("type", b"image"))
    assert score(response) == pytest.approx(0.25)
    assert gateway.server.received[-1].images == (content,)


def test_two_files_are_refused(gateway: Gateway) -> None:
    file = part("file", IMAGE, file_name="a.jpg")
    assert "several" in error_of(post_form(gateway, file, file), 400, "MALFORMED_REQUEST")
    assert gateway.server.received == []


def test_too_many_parts_are_told_so(gateway: Gateway) -> None:
    others = [part(f"field{number}", b"x") for number in range(16)]
    assert score(post_form(gateway, part("file", IMAGE), *others[:15])) == pytest.approx(0.25)
    message = error_of(post_form(gateway, part("file", IMAGE), *others), 413, "BODY_TOO_LARGE")
    assert "more than 16 parts" in message
    assert "bytes" not in message


@pytest.mark.parametrize("path", ["/detect", "/api/v1/inference"])
def test_a_compressed_body_is_refused_by_name(gateway: Gateway, path: str) -> None:
    response = gateway.http.post(
        path, data=gzip.compress(IMAGE), content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert "Content-Encoding: gzip" in error_of(response, 415, "WRONG_CONTENT_TYPE")
    plain = gateway.http.post(
        "/detect", data=IMAGE, content_type="image/jpeg", headers={"Content-Encoding": "identity"}
    )
    assert score(plain) == pytest.approx(0.25)


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/x-anything", "video/mp4", "application/octet-stream"])
def test_the_file_itself_is_taken(gateway: Gateway, content_type: str) -> None:
    for content in (IMAGE, LARGE):
        response = gateway.http.post("/detect?type=image&include=scores", data=content, content_type=content_type)
        assert score(response) == pytest.approx(0.25)
        assert "scores" in response.json["metadata"]
        assert gateway.server.received[-1].images == (content,)


def test_a_video_itself_is_taken(gateway: Gateway) -> None:
    clip = video(2)
    response = gateway.http.post("/detect", data=clip, content_type="video/mp4")
    assert response.json["metadata"]["input_type"] == "video"
    refused = gateway.http.post("/detect?type=image", data=clip, content_type="video/mp4")
    error_of(refused, 400, "INVALID_INPUT")


BASE64 = base64.b64encode(IMAGE + b"\xff\xfe\xfd").decode()


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        f"data:image/jpeg;base64,{BASE64}",
        base64.urlsafe_b64encode(IMAGE + b"\xff\xfe\xfd").decode().rstrip("="),
        base64.encodebytes(IMAGE + b"\xff\xfe\xfd").decode(),
    ],
)
def test_json_with_base64_is_taken(gateway: Gateway, text: str) -> None:
    response = gateway.http.post("/detect", json={"file": text, "type": "image", "include": ["scores"], "other": 1})
    assert score(response) == pytest.approx(0.25)
    assert "scores" in response.json["metadata"]
    assert gateway.server.received[-1].images == (IMAGE + b"\xff\xfe\xfd",)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "NO_FILE"),
        ({"file": None}, "NO_FILE"),
        ({"file": [1, 2]}, "NO_FILE"),
        ({"file": ""}, "EMPTY_FILE"),
        ({"file": "data:image/jpeg,abc"}, "MALFORMED_REQUEST"),
        ({"file": "https://example.com/a.jpg"}, "MALFORMED_REQUEST"),
        ({"file": "/9j/4A\u00e4="}, "MALFORMED_REQUEST"),
        ({"file": BASE64, "type": "audio"}, "MALFORMED_REQUEST"),
        ({"file": BASE64, "include": ["everything"]}, "MALFORMED_REQUEST"),
        ([], "INVALID_JSON"),
    ],
)
def test_json_without_a_file_is_400(gateway: Gateway, body: Any, code: str) -> None:
    message = error_of(gateway.http.post("/detect", json=body), 400, code)
    assert "hunter" not in message
    assert gateway.server.received == []


def test_other_content_types_are_told_what_is_taken(gateway: Gateway) -> None:
    for content_type in ("application/x-www-form-urlencoded", "text/plain", None):
        response = gateway.http.post("/detect", data=IMAGE, content_type=content_type)
        message = error_of(response, 415, "WRONG_CONTENT_TYPE")
        assert "multipart/form-data" in message
        assert "application/octet-stream" in message
        assert "base64" in message


def test_limits_hold_for_every_form(gateway: Gateway) -> None:
    gateway.configure(max_frame_bytes=1000, max_body_bytes=5000)
    large = IMAGE + b"\0" * 1000
    error_of(gateway.http.post("/detect", data=large, content_type="image/jpeg"), 413, "IMAGE_TOO_LARGE")
    error_of(gateway.http.post("/detect", data=b"\0" * 5001, content_type="image/jpeg"), 413, "BODY_TOO_LARGE")
    error_of(gateway.http.post("/detect", json={"file": base64.b64encode(large).decode()}), 413, "BODY_TOO_LARGE")
    endless = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    for content_type in ("video/mp4", "application/json", "multipart/form-data; boundary=frontier"):
        body = io.BytesIO(part("file", b"\0" * 9000))
        response = gateway.http.post("/detect", input_stream=body, content_type=content_type, environ_overrides=endless)
        error_of(response, 413, "BODY_TOO_LARGE")


def test_options_may_stand_in_the_query_of_a_form(gateway: Gateway) -> None:
    assert "scores" in post_form(gateway, part("file", IMAGE), query="?include=scores").json["metadata"]
    refused = post_form(gateway, part("file", IMAGE), part("include", b"x" * 5000))
    assert error_of(refused, 400, "MALFORMED_REQUEST").startswith("include: ")
    assert score(upload(gateway, IMAGE, include="")) == pytest.approx(0.25)


def test_every_described_form_is_taken(gateway: Gateway) -> None:
    document = gateway.http.get("/openapi.json").json
    operation = document["paths"]["/detect"]["post"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        "type", "include", "case_number", "note",
    }  # fmt: skip
    for content_type in operation["requestBody"]["content"]:
        body: Any = IMAGE
        if content_type == "application/json":
            body = json.dumps({"file": BASE64})
        elif content_type == "multipart/form-data":
            body = {"file": (io.BytesIO(IMAGE), "a.jpg")}
        sent = gateway.http.post("/detect", data=body, content_type=content_type.replace("/*", "/jpeg"))
        assert sent.status_code == 200, content_type
