"""Faults of the service: overload, deadline, a dead or faulty model; request ids; JSON without NaN."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from deepfake_client import DetectionError
from deepfake_client import errors as client_errors
from gateway.errors import public_error
from gateway.strict_json import StrictJSONProvider
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of


@pytest.fixture
def image(gateway: Gateway) -> dict[str, Any]:
    return {"mediaType": "IMAGE", "extractedFrames": gateway.frames([0.5])}


def wait_until(condition: Any, timeout_s: float = 5.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_beyond_the_limit_is_refused_at_once(gateway: Gateway, image: dict[str, Any]) -> None:
    gateway.configure(max_in_flight=2, retry_after_s=7, score_cache_frames=0)
    gateway.infer(image)
    gate = gateway.server.behaviour.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(gateway.app.test_client().post, "/api/v1/inference", json=image) for _ in range(2)]
        wait_until(lambda: len(gateway.server.received) == 3)
        started = time.monotonic()
        for response in (gateway.infer(image), gateway.http.post("/detect", data={})):
            error_of(response, 503, "OVERLOADED")
            assert response.headers["Retry-After"] == "7"
        assert time.monotonic() - started < 0.5
        assert gateway.http.get("/health").status_code == 200
        gate.set()
        assert [future.result().status_code for future in held] == [200, 200]
    assert gateway.infer(image).status_code == 200


def test_refused_requests_give_their_slot_back(gateway: Gateway, image: dict[str, Any]) -> None:
    gateway.configure(max_in_flight=1)
    for _ in range(3):
        assert gateway.infer({}).status_code == 400
        assert gateway.http.post("/detect").status_code == 415
        assert gateway.http.get("/detect").status_code == 405
    assert gateway.infer(image).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), 503, "OVERLOADED"),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "memory"), 503, "OVERLOADED"),
        ((grpc.StatusCode.INTERNAL, "Stub process 'x' is not healthy"), 503, "MODEL_UNAVAILABLE"),
        ((grpc.StatusCode.UNAVAILABLE, "starting"), 503, "MODEL_UNAVAILABLE"),
        ((grpc.StatusCode.NOT_FOUND, "no model"), 503, "MODEL_NOT_SERVED"),
        ((grpc.StatusCode.INVALID_ARGUMENT, "bad shape"), 503, "MODEL_FAULT"),
        ((grpc.StatusCode.DEADLINE_EXCEEDED, "late"), 504, "DEADLINE"),
    ],
)
def test_grpc_errors(
    gateway: Gateway, image: dict[str, Any], error: tuple[grpc.StatusCode, str], status: int, code: str
) -> None:
    gateway.server.behaviour.error = error
    response = gateway.infer(image)
    message = error_of(response, status, code)
    assert gateway.server.url not in response.text
    assert error[1] not in message
    assert ("Retry-After" in response.headers) == (code in ("OVERLOADED", "MODEL_UNAVAILABLE"))


def test_no_server_is_503(gateway: Gateway, image: dict[str, Any]) -> None:
    gateway.server.stop()
    error_of(gateway.infer(image), 503, "MODEL_UNAVAILABLE")


@pytest.mark.parametrize("description", [None, {"model": "x"}])
def test_foreign_model_is_503(gateway: Gateway, image: dict[str, Any], description: Any) -> None:
    gateway.server.behaviour.description = description
    error_of(gateway.infer(image), 503, "MODEL_NOT_SERVED")


def test_deadline_is_504(gateway: Gateway, image: dict[str, Any]) -> None:
    gateway.configure(request_deadline_s=0.3)
    gateway.server.behaviour.delay_s = 1.5
    started = time.monotonic()
    error_of(gateway.infer(image), 504, "DEADLINE")
    assert time.monotonic() - started < 1.0


def test_nan_with_status_0_is_a_model_fault(gateway: Gateway) -> None:
    paths = [gateway.write("good.jpg", "p=0.5"), gateway.write("nan.jpg", "p=nan")]
    error_of(gateway.infer(mediaType="VIDEO", extractedFrames=paths), 503, "MODEL_FAULT")


def test_probability_over_one_is_a_model_fault(gateway: Gateway) -> None:
    error_of(gateway.infer(mediaType="IMAGE", extractedFrames=gateway.write("a.jpg", "p=1.5")), 503, "MODEL_FAULT")


def test_a_face_that_is_not_finite_is_no_face(gateway: Gateway) -> None:
    response = gateway.infer(
        mediaType="IMAGE", extractedFrames=gateway.write("a.jpg", "p=0.5 face-nan"), include=["frames"]
    )
    assert response.status_code == 200
    assert (response.json["frames"][0]["face_box"], response.json["frames"][0]["face_score"]) == (None, 0.0)


def test_missing_tensor_is_a_model_fault(gateway: Gateway, image: dict[str, Any]) -> None:
    gateway.server.behaviour.drop_output = "FACES"
    error_of(gateway.infer(image), 503, "MODEL_FAULT")


def test_every_client_error_has_a_public_form() -> None:
    kinds = [
        kind for kind in vars(client_errors).values() if isinstance(kind, type) and issubclass(kind, DetectionError)
    ]
    statuses = {kind.__name__: public_error(kind("why"), 1).status for kind in kinds}
    assert statuses == {
        "DetectionError": 500,
        "ConfigurationError": 500,
        "DetectorClosedError": 500,
        "InputError": 400,
        "MediaNotFoundError": 400,
        "EmptyFileError": 400,
        "UnsupportedMediaError": 415,
        "MediaDecodeError": 422,
        "MediaDecodeTimeoutError": 422,
        "MediaTooLargeError": 413,
        "NothingScoredError": 422,
        "ServiceError": 500,
        "ServerNotTrustedError": 503,
        "PreprocessUnavailableError": 503,
        "ReleasesDifferError": 503,
        "ServerUnavailableError": 503,
        "OverloadedError": 503,
        "DeadlineExceededError": 504,
        "ModelNotServedError": 503,
        "ModelFaultError": 503,
    }


def test_request_id_is_echoed_and_reaches_triton(gateway: Gateway, image: dict[str, Any]) -> None:
    response = gateway.http.post("/api/v1/inference", json=image, headers={"X-Request-ID": "trace-1.a:b_c"})
    assert response.headers["X-Request-ID"] == "trace-1.a:b_c"
    assert gateway.server.received[-1].request_id == "trace-1.a:b_c"
    refused = gateway.http.post("/api/v1/inference", json={}, headers={"X-Request-ID": "trace-2"})
    assert refused.json["request_id"] == "trace-2"


@pytest.mark.parametrize("sent", [None, "", "a b", "x" * 129, "ü", "a;b", "<script>"])
def test_a_request_id_is_made_when_there_is_no_sane_one(
    gateway: Gateway, image: dict[str, Any], sent: str | None
) -> None:
    gateway.configure(score_cache_frames=0)  # both shall reach Triton
    headers = {} if sent is None else {"X-Request-ID": sent}
    made = [
        gateway.http.post("/api/v1/inference", json=image, headers=headers).headers["X-Request-ID"] for _ in range(2)
    ]
    assert sent not in made
    assert len(set(made)) == 2
    assert gateway.server.received[-1].request_id == made[-1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": -float("inf")}]])
def test_json_cannot_hold_nan(gateway: Gateway, value: Any) -> None:
    assert isinstance(gateway.app.json, StrictJSONProvider)
    with pytest.raises(ValueError, match="Out of range"):
        gateway.app.json.dumps({"value": value})


def test_json_is_one_line_in_production_and_indented_in_development(gateway: Gateway) -> None:
    assert gateway.http.get("/nope").text.count("\n") == 1
    gateway.configure(flask_env="development")
    assert gateway.http.get("/nope").text.count("\n") > 3
    assert gateway.app.debug is False


def test_openapi_document_describes_the_routes(gateway: Gateway) -> None:
    document = gateway.http.get("/openapi.json").json
    schema = document["components"]["schemas"]["InferenceRequest"]
    assert "extractedFrames" in schema["properties"]
    assert schema["required"] == ["mediaType"]
    assert "400" in document["paths"]["/api/v1/inference"]["post"]["responses"]
