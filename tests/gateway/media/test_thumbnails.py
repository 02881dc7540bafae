"""`include` of POST /detect: pictures of the frames that matter, scores, and an unchanged answer without it."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfake_client import DeadlineExceededError, Face, FrameScore, ScoredFrame
from deepfake_client.scorer import OK, Deadline
from gateway.media.thumbnails import MAX_THUMBNAILS, frames_that_matter, thumbnails
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import KEYS, upload, video
from tests.inference_server import FACE_BOX_PX, jpeg
from tests.media import encode_image, photo

METADATA = [
    "input_type", "format", "frames_analyzed", "frames_failed", "frame_predictions", "faces_detected",
    "people_found", "people", "sha256", "model", "assessable", "findings",
]  # fmt: skip


def frame(index: int, p: float | None, encoded: bytes = b"") -> ScoredFrame:
    status = "DECODE_FAILED" if p is None else OK
    return ScoredFrame(index, index / 10, FrameScore(status, fake_probability=p), encoded)


def picture(width: int = 640, height: int = 480) -> bytes:
    return encode_image(np.full((height, width, 3), 90, np.uint8), "PNG")


def detected(gateway: Gateway, content: bytes, *include: str) -> Any:
    response = gateway.http.post("/detect", data={"file": (io.BytesIO(content), "x"), "include": list(include)})
    assert response.status_code == 200, response.text
    response.request.environ["wsgi.input"].close()
    return response.json


def test_without_include_the_answer_is_what_it_was(gateway: Gateway) -> None:
    of_video = [*METADATA[:-2], "segments", *METADATA[-2:], "provenance"]
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


def test_the_face_box_is_that_of_the_thumbnail() -> None:
    score = FrameScore(OK, fake_probability=0.5, faces=(Face(FACE_BOX_PX, 0.9, 0.5),))
    (made,) = thumbnails([ScoredFrame(0, 0.0, score, picture(640, 480))], Deadline(5))
    assert made.face_box == [edge / 2 for edge in FACE_BOX_PX]


def test_a_video_has_at_most_eight(gateway: Gateway) -> None:
    metadata = detected(gateway, video(30), "thumbnails")["metadata"]
    indices = [thumbnail["index"] for thumbnail in metadata["thumbnails"]]
    assert 7 <= len(indices) <= MAX_THUMBNAILS
    assert indices == sorted(set(indices))
    p = {frame["index"]: frame["fake_probability"] for frame in metadata["frame_predictions"]}
    assert max(p, key=lambda index: p[index]) in indices
    assert min(p, key=lambda index: p[index]) in indices
    times = {frame["index"]: frame["timestamp_s"] for frame in metadata["frame_predictions"]}
    assert all(thumbnail["timestamp_s"] == times[thumbnail["index"]] for thumbnail in metadata["thumbnails"])


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


def test_few_frames_are_all_shown_but_the_unscored_ones() -> None:
    frames = [frame(0, 0.1), frame(1, None), frame(2, 0.3)]
    assert [one.index for one in frames_that_matter(frames)] == [0, 2]


def test_of_many_each_stretch_shows_its_peak_and_the_lowest_comes_too() -> None:
    p = [0.5] * 28
    for peak in (1, 6, 9, 13, 18, 22, 25):
        p[peak] = 0.9
    p[11] = 0.05
    chosen = [one.index for one in frames_that_matter([frame(index, value) for index, value in enumerate(p)])]
    assert chosen == [1, 6, 9, 11, 13, 18, 22, 25]


def test_no_time_left_costs_the_pictures_and_not_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(5)
    calls = []

    def remaining_s() -> float:
        calls.append(1)
        if len(calls) > 2:
            raise DeadlineExceededError("over")
        return 1.0

    monkeypatch.setattr(deadline, "remaining_s", remaining_s)
    assert len(thumbnails([frame(i, 0.5, picture(8, 8)) for i in range(5)], deadline)) == 2
