"""`include` of POST /detect: pictures of the frames that matter, scores, and an unchanged answer without it."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfake_client import DeadlineExceededError, build_evidence
from deepfake_client.scorer import Deadline
from gateway.media.thumbnails import crops, thumbnails
from tests.client.evidence.cases import FACE_PX, made_output
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import KEYS, upload, video
from tests.inference_server import jpeg
from tests.media import encode_image, photo

METADATA = [
    "input_type", "format", "frames_analyzed", "frames_failed", "frame_predictions", "faces_detected",
    "people_found", "people", "deciding_person", "sha256", "model", "assessable", "statement", "findings",
]  # fmt: skip


def picture(width: int = 640, height: int = 480) -> bytes:
    return encode_image(np.full((height, width, 3), 90, np.uint8), "PNG")


def detected(gateway: Gateway, content: bytes, *include: str) -> Any:
    response = gateway.http.post("/detect", data={"file": (io.BytesIO(content), "x"), "include": list(include)})
    assert response.status_code == 200, response.text
    response.request.environ["wsgi.input"].close()
    return response.json


def test_without_include_the_answer_is_what_it_was(gateway: Gateway) -> None:
    of_video = [*METADATA[:-3], "segments", *METADATA[-3:], "provenance"]
    for content, keys in ((picture(), METADATA), (video(12), of_video)):
        body = upload(gateway, content).json
        assert list(body) == KEYS
        assert list(body["metadata"]) == keys
        assert list(body["metadata"]["model"]) == ["name", "release_id", "export_id", "precision", "labels", "trained"]
        assert list(body["metadata"]["frame_predictions"][0]) == [
            "index", "timestamp_s", "status", "fake_probability", "face_box", "face_score", "faces",
        ]  # fmt: skip


def test_an_image_has_one_thumbnail(gateway: Gateway) -> None:
    body = detected(gateway, picture(), "thumbnails")
    assert list(body["metadata"]) == [*METADATA, "thumbnails"]
    (thumbnail,) = body["metadata"]["thumbnails"]
    assert (thumbnail["index"], thumbnail["timestamp_s"]) == (0, 0.0)
    assert (thumbnail["width_px"], thumbnail["height_px"]) == (320, 240)
    assert thumbnail["face_box"] is None
    prefix, encoded = thumbnail["image"].split(",")
    assert prefix == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert (image.format, image.size) == ("JPEG", (320, 240))


def test_face_boxes_can_be_drawn_into_the_thumbnail() -> None:
    (made,) = thumbnails(made_output([0.5], is_video=False, picture=picture(960, 768)), Deadline(5))
    assert (made.width_px, made.height_px, made.scale) == (320, 256, pytest.approx(1 / 3, abs=1e-6))
    assert made.face_box == pytest.approx([edge / 3 for edge in FACE_PX], abs=0.01)
    assert (made.reasons, made.explanation) == (["ONLY_IMAGE"], "the image itself")


def test_a_video_shows_the_frames_that_matter_in_order(gateway: Gateway) -> None:
    metadata = detected(gateway, video(30), "thumbnails")["metadata"]
    indices = [thumbnail["index"] for thumbnail in metadata["thumbnails"]]
    assert 3 <= len(indices) <= 8
    assert indices == sorted(set(indices))
    p = {frame["index"]: frame["fake_probability"] for frame in metadata["frame_predictions"]}
    reasons = {thumbnail["index"]: thumbnail["reasons"] for thumbnail in metadata["thumbnails"]}
    assert "HIGHEST" in reasons[max(p, key=lambda index: p[index])]
    assert "LOWEST" in reasons[min(p, key=lambda index: p[index])]
    times = {frame["index"]: frame["timestamp_s"] for frame in metadata["frame_predictions"]}
    assert all(thumbnail["timestamp_s"] == times[thumbnail["index"]] for thumbnail in metadata["thumbnails"])


def test_a_report_shows_the_same_frames() -> None:
    output = made_output([0.5, 0.9, 0.1, 0.6, 0.2, 0.7, 0.3] * 3)
    shown = [(one.index, one.explanation) for one in thumbnails(output, Deadline(5))]
    assert shown == [(key.index, key.explanation) for key in build_evidence(output, "clip.mp4").key_frames]


def test_the_other_scored_frames_have_smaller_ones_when_asked_for() -> None:
    made = thumbnails(made_output([0.5, 0.9, "DECODE_FAILED", 0.5, 0.1]), Deadline(5), every_frame=True)
    assert [one.index for one in made] == [0, 1, 3, 4]
    assert [one.width_px for one in made] == [320, 320, 160, 320]
    assert [bool(one.reasons) for one in made] == [True, True, False, True]


def test_each_persons_face_comes_as_the_model_saw_it(gateway: Gateway) -> None:
    output = made_output([0.1, 0.2, 0.3], others=[[0.9, 0.95, None]])
    found = [(one.person, one.index, one.fake_probability) for one in crops(output, Deadline(5))]
    assert found == [(2, 1, 0.95), (1, 2, 0.3)]
    (whole,) = detected(gateway, picture(), "crops")["metadata"]["crops"]
    assert (whole["person"], whole["index"], whole["width_px"], whole["height_px"]) == (None, 0, 224, 168)


def test_scores_and_bands_come_when_asked_for(gateway: Gateway) -> None:
    body = detected(gateway, jpeg("p=0.25"), "scores")
    assert list(body["metadata"]) == [*METADATA, "scores", "verdict_bands"]
    assert body["metadata"]["scores"]["risk_score"] == 25.0
    assert body["metadata"]["scores"]["confidence"] == 75.0
    assert body["metadata"]["verdict_bands"] == {"real_below": 0.3, "fake_above": 0.7}
    assert detected(gateway, video(4), "scores")["metadata"]["verdict_bands"] == {"real_below": 0.4, "fake_above": 0.6}


def test_closer_looks_come_when_asked_for(gateway: Gateway) -> None:
    metadata = detected(gateway, photo("astronaut.png").read_bytes(), "stability", "sensitivity")["metadata"]
    assert list(metadata) == [*METADATA, "provenance", "stability", "sensitivity"]
    (face,) = metadata["stability"]["faces"]
    flips = any(variant["result"] != face["result"] for variant in face["variants"])
    assert ("UNSTABLE" in [finding["code"] for finding in metadata["findings"]]) is flips
    assert np.shape(metadata["sensitivity"]["map"]["changes"]) == (7, 7)
    asked = [len(received.images) for received in gateway.server.received]
    assert sum(asked) == 1 + 4 + 50, "without a face there is no margin to widen"
    assert max(asked) <= 8, "they go in requests as those of frames"


def test_both_may_be_asked_for_and_empty_ones_count_as_none(gateway: Gateway) -> None:
    assert {"scores", "thumbnails"} <= set(detected(gateway, picture(), "scores", "thumbnails", "")["metadata"])
    assert list(detected(gateway, picture(), "")["metadata"]) == METADATA


@pytest.mark.parametrize("said", ["frames", "thumbnails,scores", "[" * 100_000, "null", '["scores"]'])
def test_unknown_include_is_400(gateway: Gateway, said: str) -> None:
    assert error_of(upload(gateway, jpeg("p=0.25"), include=said), 400, "MALFORMED_REQUEST").startswith("include")


def test_a_picture_that_cannot_be_made_is_left_out(gateway: Gateway) -> None:
    """The bytes are scored by what they say, but they are no image."""
    assert detected(gateway, jpeg("p=0.25"), "thumbnails")["metadata"]["thumbnails"] == []


def test_no_time_left_costs_the_pictures_and_not_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(5)
    calls = []

    def remaining_s() -> float:
        calls.append(1)
        if len(calls) > 2:
            raise DeadlineExceededError("over")
        return 1.0

    monkeypatch.setattr(deadline, "remaining_s", remaining_s)
    assert len(thumbnails(made_output([0.1, 0.9, 0.1, 0.8, 0.5]), deadline)) == 2
