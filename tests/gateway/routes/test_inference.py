"""POST /api/v1/inference: scores, sampling and the keys of the contract."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.gateway.conftest import Gateway
from tests.inference_server import FACE_BOX_PX, face_box_px, jpeg
from tests.media import encode_image

TEN_KEYS = [
    "video_score",
    "peak_risk",
    "mean_risk",
    "audio_score",
    "gan_fingerprint",
    "temporal_consistency",
    "risk_score",
    "confidence",
    "model_version",
    "inference_time",
]


def test_video_answers_exactly_ten_keys(gateway: Gateway) -> None:
    response = gateway.infer(mediaType="VIDEO", extractedFrames=gateway.frames([0.1, 0.9]))
    assert response.status_code == 200
    assert list(response.json) == TEN_KEYS
    assert response.json["inference_time"] >= 0
    assert isinstance(response.json["inference_time"], int)
    assert response.json["model_version"] == "v2"
    # Worked by hand: np.percentile([.1, .9], 90) = 0.82, variance 0.16.
    expected = [82.0, 90.0, 50.0, 0.0, 82.0, 0.0, 82.0, 90.0]
    assert [response.json[key] for key in TEN_KEYS[:8]] == expected


def test_image_scores_the_first_path_only(gateway: Gateway) -> None:
    response = gateway.infer(mediaType="IMAGE", extractedFrames=gateway.frames([0.9231, 0.1]))
    assert [response.json[key] for key in TEN_KEYS[:8]] == [92.31, 92.31, 92.31, 0.0, 92.31, 100.0, 92.31, 92.31]
    assert [len(received.images) for received in gateway.server.received] == [1]


def test_peak_far_above_the_score_raises_the_risk(gateway: Gateway) -> None:
    response = gateway.infer(mediaType="VIDEO", extractedFrames=gateway.frames([0.05] * 29 + [0.99]))
    assert response.json["risk_score"] == 33.2
    assert response.json["temporal_consistency"] == 71.53


def test_rounds_to_two_decimals_at_the_end(gateway: Gateway) -> None:
    p = np.float32([0.123456, 0.234567, 0.345678]).astype(float)
    response = gateway.infer(mediaType="VIDEO", extractedFrames=gateway.frames([0.123456, 0.234567, 0.345678]))
    assert response.json["mean_risk"] == round(float(p.mean()) * 100, 2)
    assert response.json["temporal_consistency"] == round(float(100 - 1000 * p.var()), 2)


@pytest.mark.parametrize("count", [1, 2, 29, 30, 31, 59, 60, 300])
def test_samples_evenly_with_first_and_last(gateway: Gateway, count: int) -> None:
    paths = [gateway.write(f"{index}.jpg", f"p=0.5 number={index};") for index in range(count)]
    response = gateway.infer(mediaType="VIDEO", extractedFrames=paths, include=["frames"])
    expected = [(i * (count - 1) + 14) // 29 for i in range(30)] if count > 30 else list(range(count))
    assert [frame["index"] for frame in response.json["frames"]] == expected
    assert [frame["path"] for frame in response.json["frames"]] == [f"{index}.jpg" for index in expected]
    sent = [image for received in gateway.server.received for image in received.images]
    assert sorted(sent) == sorted(jpeg(f"p=0.5 number={index};") for index in expected)


def test_include_frames_adds_the_score_of_each(gateway: Gateway) -> None:
    paths = [
        gateway.write("good.jpg", "p=0.123456 face"),
        gateway.write("bad.jpg", "status=6"),
        "missing.jpg",
        gateway.write("faceless.jpg", "p=0.5"),
    ]
    body = gateway.infer(mediaType="VIDEO", extractedFrames=paths, include=["frames"]).json
    assert list(body) == [*TEN_KEYS, "frames", "frames_scored", "frames_failed", "faces_detected"]
    assert (body["frames_scored"], body["frames_failed"], body["faces_detected"]) == (2, 2, 1)
    good, bad, missing, faceless = body["frames"]
    assert good == {
        "index": 0,
        "path": "good.jpg",
        "status": "OK",
        "fake_probability": pytest.approx(0.123456, abs=1e-7),
        "face_box": list(FACE_BOX_PX),
        "face_score": pytest.approx(0.9),
    }
    assert bad == {
        "index": 1,
        "path": "bad.jpg",
        "status": "DECODE_FAILED",
        "fake_probability": None,
        "face_box": None,
        "face_score": 0.0,
    }
    assert missing["status"] == "UNREADABLE"
    assert missing["fake_probability"] is None
    assert faceless["face_box"] is None
    assert body["mean_risk"] == pytest.approx(100 * (0.123456 + 0.5) / 2, abs=0.01)


def test_frames_are_matched_to_their_scores_across_chunks(gateway: Gateway) -> None:
    p = [round(i / 30, 3) for i in range(30)]
    body = gateway.infer(mediaType="VIDEO", extractedFrames=gateway.frames(p), include=["frames"]).json
    assert [frame["fake_probability"] for frame in body["frames"]] == pytest.approx(p, abs=1e-6)
    assert len(gateway.server.received) > 1


def test_failed_frames_are_skipped_not_scored(gateway: Gateway) -> None:
    paths = [gateway.write("a.jpg", "p=0.8"), gateway.write("b.jpg", "status=2"), "gone.jpg"]
    body = gateway.infer(mediaType="VIDEO", extractedFrames=paths).json
    assert body["mean_risk"] == 80.0
    assert body["temporal_consistency"] == 100.0


def test_no_frame_left_names_the_reason_of_each(gateway: Gateway) -> None:
    paths = [gateway.write("a.jpg", "status=2"), "gone.jpg", gateway.write("empty.jpg", b"")]
    response = gateway.infer(mediaType="VIDEO", extractedFrames=paths)
    assert response.status_code == 422
    assert response.json["code"] == "NOTHING_SCORED"
    reasons = response.json["frames"]
    assert [(r["index"], r["path"], r["status"]) for r in reasons] == [
        (0, "a.jpg", "NOT_AN_IMAGE"),
        (1, "gone.jpg", "UNREADABLE"),
        (2, "empty.jpg", "EMPTY"),
    ]
    assert reasons[0]["message"] == "Meaning of NOT_AN_IMAGE."
    assert all(reason["message"] for reason in reasons)


def test_a_listed_frame_of_a_format_that_is_not_accepted_has_that_status(gateway: Gateway) -> None:
    gateway.configure(accepted_formats="png")
    response = gateway.infer(mediaType="VIDEO", extractedFrames=[gateway.write("a.png", "p=0.5")])
    (reason,) = response.json["frames"]
    assert (reason["status"], reason["message"]) == ("UNSUPPORTED_FORMAT", "JPEG is not accepted here.")
    assert gateway.server.received == []


def test_image_without_its_first_frame_is_an_error(gateway: Gateway) -> None:
    response = gateway.infer(mediaType="IMAGE", extractedFrames=["gone.jpg", *gateway.frames([0.5])])
    assert response.status_code == 422
    assert gateway.server.received == []


def test_what_real_callers_send_is_accepted(gateway: Gateway) -> None:
    (path,) = gateway.frames([0.25])
    response = gateway.infer(
        hash="abc",
        mediaType="IMAGE",
        metadata={"width": 1280, "nested": {"a": [1, 2.5, None]}},
        extractedFrames=path,
        extractedAudio=None,
        modelVersion="v1",
        somethingElse=[1],
    )
    assert response.status_code == 200
    assert response.json["model_version"] == "v1"
    assert response.json["video_score"] == 25.0


def test_absolute_path_below_the_root_is_accepted(gateway: Gateway, media_root: Path) -> None:
    gateway.frames([0.25])
    response = gateway.infer(mediaType="IMAGE", extractedFrames=str(media_root / "00000.jpg"))
    assert response.json["video_score"] == 25.0


@pytest.mark.parametrize("frames", [{}, {"extractedFrames": None}, {"extractedFrames": []}, {"extractedFrames": ""}])
def test_no_frames_is_422(gateway: Gateway, frames: dict[str, object]) -> None:
    response = gateway.infer({"mediaType": "VIDEO", **frames})
    assert (response.status_code, response.json["code"]) == (422, "NO_FRAMES")


def test_audio_is_415(gateway: Gateway) -> None:
    response = gateway.infer(mediaType="AUDIO", extractedAudio="a.wav")
    assert (response.status_code, response.json["code"]) == (415, "UNSUPPORTED_MEDIA")


def test_the_worked_examples_of_the_contract(gateway: Gateway) -> None:
    vectors = json.loads((Path(__file__).parents[2] / "client" / "score_vectors.json").read_text())
    for vector in vectors:
        paths = gateway.frames(vector["fake_probabilities"])
        body = gateway.infer(mediaType=vector["media_type"], extractedFrames=paths).json
        # Probabilities pass through float32 on their way.
        assert {key: body[key] for key in TEN_KEYS[:8]} == pytest.approx(vector["scores"], abs=0.011)


def test_include_faces_has_every_face_scored_and_the_people_followed(gateway: Gateway) -> None:
    paths = [gateway.write(f"{i}.jpg", f"faces=0.2/0.{7 + i}") for i in range(3)]
    body = gateway.infer(mediaType="VIDEO", extractedFrames=paths, include=["faces"]).json
    assert list(body) == [*TEN_KEYS, "frames", "frames_scored", "frames_failed", "faces_detected", "people"]
    assert body["mean_risk"] == 20.0, "the ten scores stay those of the largest face"
    assert body["faces_detected"] == 3, "frames with a face, as before"
    first, second = body["frames"][1]["faces"]
    assert first == {
        "face_box": list(face_box_px(0)), "face_score": pytest.approx(0.9), "person": 1,
        "fake_probability": pytest.approx(0.2),
    }  # fmt: skip
    assert (second["face_box"], second["person"], second["fake_probability"]) == (
        list(face_box_px(1)), 2, pytest.approx(0.8)
    )  # fmt: skip
    assert body["frames"][1]["face_box"] == first["face_box"]
    assert [(person["person"], person["frames"], person["result"]) for person in body["people"]] == [
        (1, 3, "real"), (2, 3, "fake"),
    ]  # fmt: skip
    assert body["people"][0]["first_s"] is None, "a list of frames says no times"


def test_people_are_not_followed_across_cuts_of_listed_frames(gateway: Gateway) -> None:
    paths = []
    for i, grey in enumerate((40, 40, 200)):
        encoded = encode_image(np.full((90, 160, 3), grey, np.uint8), "JPEG")
        paths.append(gateway.write(f"{i}.jpg", encoded[:2] + b"\xff\xfe\x00\x10p=0.5 face     " + encoded[2:]))
    body = gateway.infer(mediaType="VIDEO", extractedFrames=paths, include=["faces"]).json
    assert [frame["faces"][0]["person"] for frame in body["frames"]] == [1, 1, 2]


def test_without_include_only_the_largest_face_costs_anything(gateway: Gateway) -> None:
    gateway.infer(mediaType="IMAGE", extractedFrames=[gateway.write("two.jpg", "faces=0.2/0.9")])
    assert sum(len(received.images) for received in gateway.server.received) == 1


def test_a_setting_makes_the_scores_those_of_the_most_suspicious_face(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPFAKE_CLIENT_FACES", "most_suspicious")
    paths = [gateway.write("two.jpg", "faces=0.2/0.9"), gateway.write("one.jpg", "p=0.3")]
    body = gateway.configure().infer(mediaType="VIDEO", extractedFrames=paths).json
    assert (list(body), body["mean_risk"], body["peak_risk"]) == (TEN_KEYS, 60.0, 90.0)
