"""What each of several models says: in answers to those who ask for it, and in no other."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from deepfake_client import ClientSettings, Detector
from gateway import GatewaySettings, create_app
from gateway.routes.schemas import DetectResponse, InferenceResponse
from tests.gateway.routes.test_detect import video
from tests.inference_server import FUSED, jpeg
from tests.media import photo
from tests.scripted_gateway import ScriptedScorer, crowd, fused, scored


@pytest.fixture
def scorer() -> ScriptedScorer:
    made = ScriptedScorer(description=FUSED)
    made.gate.set()
    made.answer = lambda index: fused(scored(0.5 + index / 1000), (0.9 + index / 100, 0.2))
    return made


@pytest.fixture
def http(scorer: ScriptedScorer, media_root: Path) -> Iterator[FlaskClient]:
    settings = GatewaySettings(media_root=media_root, health_fresh_s=0, score_cache_frames=0)
    with Detector(scorer, ClientSettings(further_frames=0)) as detector:
        yield create_app(settings, detector).test_client()


def detect(http: FlaskClient, content: bytes, *include: str) -> dict[str, Any]:
    response = http.post("/detect", data={"file": (io.BytesIO(content), "x"), "include": list(include)})
    response.request.environ["wsgi.input"].close()  # the test client leaves its temporary file open
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json
    return body


def infer(http: FlaskClient, paths: list[str], *include: str) -> dict[str, Any]:
    response = http.post(
        "/api/v1/inference", json={"mediaType": "VIDEO", "extractedFrames": paths, "include": list(include)}
    )
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json
    return body


@pytest.fixture
def paths(media_root: Path) -> list[str]:
    for name in "abc":
        (media_root / f"{name}.jpg").write_bytes(jpeg(name))
    return ["a.jpg", "b.jpg", "c.jpg"]


def keys(node: Any) -> set[str]:
    """Every key, at any depth."""
    if isinstance(node, dict):
        return set(node).union(*map(keys, node.values()))
    return set().union(*map(keys, node)) if isinstance(node, list) else set()


def test_detect_tells_them_to_who_asks(http: FlaskClient) -> None:
    metadata = detect(http, video(3), "models")["metadata"]
    face, whole = metadata["models"]
    assert face == {
        "name": "example/face", "whole_image": False, "calibrated": True, "weight": 0.75,
        "fake_probability": pytest.approx(0.91),
    }  # fmt: skip
    assert (whole["name"], whole["whole_image"], whole["fake_probability"]) == (
        "example/whole", True, pytest.approx(0.2),
    )  # fmt: skip
    for i, frame in enumerate(metadata["frame_predictions"]):
        assert frame["models"] == frame["faces"][0]["models"] == pytest.approx([0.9 + i / 100, 0.2])
    assert "MODELS_DISAGREE" in {finding["code"] for finding in metadata["findings"]}


def test_of_several_faces_they_are_of_the_one_that_decides(http: FlaskClient, scorer: ScriptedScorer) -> None:
    scorer.answer = lambda index: fused(crowd(0.2, 0.9), (0.3, 0.1), (0.95, 0.8))
    metadata = detect(http, photo("astronaut.png").read_bytes(), "models")["metadata"]
    assert [model["fake_probability"] for model in metadata["models"]] == [0.95, 0.8]
    (frame,) = metadata["frame_predictions"]
    assert frame["models"] == [0.3, 0.1], "of the largest face, as all that stands beside it"
    assert [face["models"] for face in frame["faces"]] == [[0.3, 0.1], [0.95, 0.8]]


def test_without_being_asked_answers_have_nothing_of_them(http: FlaskClient, paths: list[str]) -> None:
    asked, plain = (detect(http, video(3), *include) for include in (["scores", "models"], ["scores"]))
    assert "models" in keys(asked)
    assert "models" not in keys(plain)
    asked, plain = (infer(http, paths, *include) for include in (["faces", "models"], ["faces"]))
    assert "models" in keys(asked["frames"])
    assert "models" not in keys(plain)


def test_inference_gives_the_means_beside_mean_risk(http: FlaskClient, paths: list[str]) -> None:
    plain, asked, both = (infer(http, paths, *include) for include in ([], ["models"], ["frames", "models"]))
    assert list(asked) == [*plain, "models"]
    assert [(model["name"], model["fake_probability"]) for model in asked["models"]] == [
        ("example/face", pytest.approx(0.91)), ("example/whole", pytest.approx(0.2)),
    ]  # fmt: skip
    assert "frames" not in asked
    assert [frame["models"] for frame in both["frames"]] == [
        pytest.approx([0.9, 0.2]), pytest.approx([0.91, 0.2]), pytest.approx([0.92, 0.2]),
    ]  # fmt: skip
    assert both["models"] == asked["models"]
    assert "models" not in keys([infer(http, paths, "frames")])


def test_one_model_answers_the_same_whoever_asks(http: FlaskClient, scorer: ScriptedScorer, paths: list[str]) -> None:
    scorer.description = ScriptedScorer().description
    scorer.answer = lambda index: scored(0.9)
    asked, plain = (detect(http, video(3), *include) for include in (["models"], []))
    assert without_times(asked) == without_times(plain)
    asked, plain = (infer(http, paths, *include) for include in (["faces", "models"], ["faces"]))
    assert without_times(asked) == without_times(plain)
    assert "models" not in keys([asked, plain])


def without_times(answer: dict[str, Any]) -> str:
    return json.dumps(
        {name: v for name, v in answer.items() if name not in ("processing_time_seconds", "inference_time")}
    )


def test_the_models_of_answers_are_what_the_document_describes(http: FlaskClient, paths: list[str]) -> None:
    schemas = http.get("/openapi.json").json["components"]["schemas"]
    for name in ("DetectMetadata", "InferenceResponse", "FrameResult", "FramePrediction", "FacePrediction"):
        assert schemas[name]["properties"]["models"]["description"]
    assert all(schemas["ModelScore"]["properties"][key]["description"] for key in ("weight", "fake_probability"))
    answers = {
        DetectResponse: detect(http, video(3), "models"),
        InferenceResponse: infer(http, paths, "faces", "models"),
    }
    for model, answer in answers.items():
        assert model.model_validate(answer).model_dump(mode="json", exclude_unset=True) == answer


def test_a_release_that_hides_them_is_refused(http: FlaskClient, scorer: ScriptedScorer) -> None:
    scorer.answer = lambda index: scored(0.9)
    response = http.post("/detect", data=jpeg("x"), content_type="image/jpeg")
    assert (response.status_code, response.json["code"]) == (503, "MODEL_FAULT")


def test_the_report_always_shows_them(http: FlaskClient) -> None:
    response = http.post("/detect", data=jpeg("x"), content_type="image/jpeg", headers={"Accept": "text/html"})
    assert '<h2 id="models">Models</h2>' in response.text
