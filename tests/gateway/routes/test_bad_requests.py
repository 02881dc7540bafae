"""Bad input: the right status and code, a message that names the field, and never a 5xx."""

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import Gateway

URL = "/api/v1/inference"


def error_of(response: Any, status: int, code: str) -> str:
    """The message of an error whose form is the contract's."""
    assert response.status_code == status, response.data
    assert response.mimetype == "application/json"
    body = response.json
    assert {"error", "message", "code", "request_id"} <= set(body)
    assert body["code"] == code
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in response.text
    message: str = body["message"]
    return message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "mediaType"),
        ({"mediaType": None}, "mediaType"),
        ({"mediaType": "video"}, "mediaType"),
        ({"mediaType": ["VIDEO"]}, "mediaType"),
        ({"mediaType": "VIDEO", "extractedFrames": 3}, "extractedFrames"),
        ({"mediaType": "VIDEO", "extractedFrames": {"a": "b"}}, "extractedFrames"),
        ({"mediaType": "VIDEO", "extractedFrames": ["a.jpg", 3]}, "extractedFrames[1]"),
        ({"mediaType": "VIDEO", "extractedFrames": ["a.jpg", None]}, "extractedFrames[1]"),
        ({"mediaType": "VIDEO", "extractedFrames": ["a\0.jpg"]}, "extractedFrames[0]"),
        ({"mediaType": "VIDEO", "extractedFrames": "a\0.jpg"}, "extractedFrames[0]"),
        ({"mediaType": "VIDEO", "extractedAudio": 1}, "extractedAudio"),
        ({"mediaType": "VIDEO", "extractedAudio": "a\0"}, "extractedAudio"),
        ({"mediaType": "VIDEO", "extractedFrames": "\ud800.jpg"}, "extractedFrames[0]"),
        ({"mediaType": "VIDEO", "modelVersion": 2}, "modelVersion"),
        ({"mediaType": "VIDEO", "modelVersion": "\ud83d"}, "modelVersion"),
        ({"mediaType": "VIDEO", "modelVersion": "v" * 200}, "modelVersion"),
        ({"mediaType": "VIDEO", "include": "frames"}, "include"),
        ({"mediaType": "VIDEO", "include": ["everything"]}, "include[0]"),
    ],
)
def test_schema_violations_name_the_field(gateway: Gateway, body: dict[str, Any], field: str) -> None:
    response = gateway.http.post(URL, data=json.dumps(body), content_type="application/json")
    message = error_of(response, 400, "MALFORMED_REQUEST")
    assert message.startswith(f"{field}: "), message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"mediaType": "IMAGE",}',
        b'"text"',
        b'"{\\"mediaType\\": \\"IMAGE\\"}"',
        b"[]",
        b"null",
        b"3",
        b'{"mediaType": "\xff"}',
        b"[" * 100_000,
        b'{"metadata":' * 50_000,
    ],
)
def test_malformed_json_is_400(gateway: Gateway, body: bytes) -> None:
    error_of(gateway.http.post(URL, data=body, content_type="application/json"), 400, "INVALID_JSON")


@pytest.mark.parametrize(
    "unused",
    [
        b'"metadata": {"a": NaN, "b": -Infinity}',
        b'"metadata": {"name": "\\ud83d", "\\udc00": 1}, "\\ud800": 2',
        b'"metadata": []',
        b'"metadata": "text"',
        b'"hash": 12',
        b'"hash": {"sha256": null}',
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_what_is_not_used_may_be_anything(gateway: Gateway, unused: bytes, mark: bytes) -> None:
    """The service that this one replaces took all of these: its `request.get_json()` reads them."""
    (path,) = gateway.frames([0.25])
    body = mark + b'{"mediaType": "IMAGE", "extractedFrames": "%s", %s}' % (path.encode(), unused)
    response = gateway.http.post(URL, data=body, content_type="application/json")
    assert response.status_code == 200, response.text
    assert response.json["video_score"] == 25.0
    json.loads(response.text, parse_constant=pytest.fail)


def test_the_message_does_not_repeat_what_was_sent(gateway: Gateway) -> None:
    assert "hunter2" not in gateway.infer(mediaType="hunter2", extractedFrames=[{"hunter2": 1}]).text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", None, "application/"])
def test_wrong_content_type_is_415(gateway: Gateway, content_type: str | None) -> None:
    response = gateway.http.post(URL, data=b'{"mediaType": "IMAGE"}', content_type=content_type)
    assert "application/json" in error_of(response, 415, "WRONG_CONTENT_TYPE")


def test_a_form_without_a_boundary_is_400(gateway: Gateway) -> None:
    response = gateway.http.post("/detect", data=b"x" * 100, content_type="multipart/form-data")
    assert "no boundary" in error_of(response, 400, "NO_FILE")


def test_a_charset_parameter_is_fine(gateway: Gateway) -> None:
    body = json.dumps({"mediaType": "IMAGE", "extractedFrames": gateway.frames([0.5])})
    assert gateway.http.post(URL, data=body, content_type="application/json; charset=utf-8").status_code == 200


def test_unknown_route_and_wrong_method(gateway: Gateway) -> None:
    error_of(gateway.http.get("/nope"), 404, "NOT_FOUND")
    error_of(gateway.http.get("/static/x"), 404, "NOT_FOUND")
    response = gateway.http.get(URL)
    error_of(response, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in response.headers["Allow"]
    error_of(gateway.http.delete("/detect"), 405, "METHOD_NOT_ALLOWED")
    error_of(gateway.http.post("/health"), 405, "METHOD_NOT_ALLOWED")


def test_too_large_a_body_is_413(gateway: Gateway) -> None:
    gateway.configure(max_json_bytes=1000)
    body = {"mediaType": "IMAGE", "hash": "x" * 1000}
    assert "1000 bytes" in error_of(gateway.infer(body), 413, "BODY_TOO_LARGE")


def test_too_large_a_body_without_a_length_is_413(gateway: Gateway) -> None:
    gateway.configure(max_json_bytes=1000)
    response = gateway.http.post(
        URL,
        input_stream=io.BytesIO(b"x" * 2000),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    error_of(response, 413, "BODY_TOO_LARGE")


def test_too_many_paths_are_413(gateway: Gateway) -> None:
    gateway.configure(max_listed_frames=50)
    assert gateway.infer(mediaType="VIDEO", extractedFrames=gateway.frames([0.5] * 50)).status_code == 200
    error_of(gateway.infer(mediaType="VIDEO", extractedFrames=["a"] * 51), 413, "TOO_MANY_FRAMES")


def test_unexpected_failure_is_a_bare_500(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_args: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("gateway.routes.inference.read_listed_frames", explode)
    response = gateway.infer(mediaType="IMAGE", extractedFrames="a.jpg")
    error_of(response, 500, "INTERNAL")
    assert "secret" not in response.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
paths = st.text() | st.sampled_from(["../x", "/etc/passwd", "a/../../b", "\0", "good.jpg", ".", "/"])
bodies = json_values | st.fixed_dictionaries(
    {"mediaType": st.sampled_from(["VIDEO", "IMAGE", "AUDIO"]) | json_values},
    optional={
        "hash": json_values,
        "metadata": json_values,
        "extractedFrames": st.lists(paths, max_size=5) | paths | json_values,
        "extractedAudio": paths | json_values,
        "modelVersion": st.text() | json_values,
        "include": st.just(["frames"]) | json_values,
    },
)


@given(body=bodies)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_makes_the_gateway_fail(gateway: Gateway, body: Any) -> None:
    gateway.write("good.jpg", "p=0.25")
    response = gateway.infer(body)
    assert response.status_code in (200, 400, 403, 415, 422), response.text
    json.loads(response.text, parse_constant=pytest.fail)


@given(body=st.binary(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_the_gateway_fail(gateway: Gateway, body: bytes) -> None:
    assert gateway.http.post(URL, data=body, content_type="application/json").status_code == 400
