"""POST /detect: verdicts on uploads, and uploads that are refused."""

import hashlib
import io
import os
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from gateway.app import create_app
from gateway.settings import GatewaySettings
from tests.client.video.test_length import cut_clip
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of
from tests.inference_server import EXPORT_ID, jpeg

KEYS = ["result", "confidence_score", "processing_time_seconds", "metadata", "model_version"]


def upload(gateway: Gateway, content: bytes, name: str = "upload", **form: str) -> Any:
    response = gateway.http.post("/detect", data={"file": (io.BytesIO(content), name), **form})
    response.request.environ["wsgi.input"].close()  # the test client leaves its temporary file open
    return response


def video(frames: int = 12) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            pixels = np.full((48, 64, 3), index * 20 % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("p", "result"),
    [(0.71, "fake"), (0.9, "fake"), (0.69, "uncertain"), (0.5, "uncertain"), (0.31, "uncertain"), (0.29, "real")],
)
def test_image_verdicts(gateway: Gateway, p: float, result: str) -> None:
    content = jpeg(f"p={p} face")
    response = upload(gateway, content)
    assert response.status_code == 200
    body = response.json
    assert list(body) == KEYS
    assert body["result"] == result
    assert body["confidence_score"] == pytest.approx(p, abs=1e-6)
    assert body["processing_time_seconds"] > 0
    assert "example/detector" in body["model_version"]
    metadata = body["metadata"]
    assert metadata["input_type"] == "image"
    assert metadata["frames_analyzed"] == 1
    assert metadata["faces_detected"] == 1
    assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
    assert metadata["model"]["export_id"] == EXPORT_ID
    assert [frame["fake_probability"] for frame in metadata["frame_predictions"]] == [pytest.approx(p, abs=1e-6)]


def test_the_most_suspicious_face_decides(gateway: Gateway) -> None:
    body = upload(gateway, jpeg("faces=0.2/0.9/0.5")).json
    assert (body["result"], body["confidence_score"]) == ("fake", pytest.approx(0.9))
    metadata = body["metadata"]
    assert (metadata["faces_detected"], metadata["people_found"]) == (3, 3)
    assert [face["person"] for face in metadata["frame_predictions"][0]["faces"]] == [1, 2, 3]
    assert [person["result"] for person in metadata["people"]] == ["real", "fake", "uncertain"]
    assert {finding["code"] for finding in metadata["findings"]} >= {"MULTIPLE_PEOPLE", "OTHER_FACE_SUSPICIOUS"}


def test_bands_of_the_model_override_the_defaults(gateway: Gateway) -> None:
    assert gateway.server.behaviour.description is not None
    gateway.server.behaviour.description["verdict_bands"] = {
        "image": {"real_below": 0.1, "fake_above": 0.2},
        "video": {"real_below": 0.4, "fake_above": 0.6},
    }
    assert upload(gateway, jpeg("p=0.25")).json["result"] == "fake"


def test_further_frames_are_scored_where_they_are_asked_for(gateway: Gateway) -> None:
    """Its scores are hashes of the frames, some above the band and some below."""
    content = video(90)
    plain, asked = (upload(gateway, content, **form).json for form in ({}, {"include": "further_frames"}))
    further = asked["metadata"].pop("further_frame_predictions")
    assert 0 < len(further) <= 30
    assert {frame["index"] for frame in further}.isdisjoint(range(30))
    assert "further_frame_predictions" not in plain["metadata"]
    assert asked["confidence_score"] == plain["confidence_score"]
    assert asked["metadata"]["frame_predictions"] == plain["metadata"]["frame_predictions"]
    parts = create_app(GatewaySettings(further_frames=7)).extensions["deepfake_gateway"]
    assert parts.detector.settings.further_frames == 7
    parts.detector.close()


def test_video_score_is_the_mean_of_its_frames(gateway: Gateway) -> None:
    content = video()
    body = upload(gateway, content, type="video").json
    predictions = [frame["fake_probability"] for frame in body["metadata"]["frame_predictions"]]
    assert body["metadata"]["input_type"] == "video"
    assert body["metadata"]["frames_analyzed"] == len(predictions) == 12
    assert body["confidence_score"] == pytest.approx(sum(predictions) / 12)
    assert body["metadata"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert body["result"] == ("fake" if body["confidence_score"] > 0.6 else "uncertain")


def test_what_a_file_says_of_itself_stands_beside_the_verdict(gateway: Gateway) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    segment = exif.tobytes()
    plain = jpeg("p=0.9 face ").ljust(4 + int.from_bytes(b"p="), b" ")  # the text is the first segment's size as well
    content = plain + b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment
    body = upload(gateway, content).json
    assert body["metadata"]["provenance"] == {
        "statements": [{"source": "EXIF", "name": "Make", "value": "A maker"}],
        "has_location": False,
        "digital_source_types": [],
    }
    assert "provenance" not in upload(gateway, jpeg("p=0.9 face")).json["metadata"]
    gateway.configure(provenance=False)
    again = upload(gateway, content).json
    assert "provenance" not in again["metadata"]
    assert again["confidence_score"] == body["confidence_score"]


def test_large_upload_goes_through_a_file(gateway: Gateway) -> None:
    content = jpeg("p=0.25") + b"\0" * 2_000_000
    body = upload(gateway, content).json
    assert body["metadata"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_uploads_leave_no_descriptor_open(gateway: Gateway) -> None:
    upload(gateway, jpeg("p=0.25"))
    upload(gateway, video(2))  # the first one starts the process that decodes, and keeps its socket
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for content in (jpeg("p=0.25") + b"\0" * 2_000_000, b"\0" * 2_000_000, video(2)):
        upload(gateway, content)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_name_decides_nothing(gateway: Gateway) -> None:
    assert upload(gateway, jpeg("p=0.25"), "movie.mp4").json["metadata"]["input_type"] == "image"
    assert upload(gateway, video(2), "../../etc/passwd.jpg").json["metadata"]["input_type"] == "video"


def test_type_that_contradicts_the_content_is_400(gateway: Gateway) -> None:
    error_of(upload(gateway, jpeg("p=0.25"), type="video"), 400, "INVALID_INPUT")
    error_of(upload(gateway, video(2), type="image"), 400, "INVALID_INPUT")
    assert upload(gateway, jpeg("p=0.25"), type="image").status_code == 200


@pytest.mark.parametrize("said", ["IMAGE", "audio", "1", "null", "[]", "[" * 100_000, "\0"])
def test_unknown_type_is_400(gateway: Gateway, said: str) -> None:
    assert error_of(upload(gateway, jpeg("p=0.25"), type=said), 400, "MALFORMED_REQUEST").startswith("type")


def test_no_file_is_400(gateway: Gateway) -> None:
    error_of(gateway.http.post("/detect", data={"type": "image"}, content_type="multipart/form-data"), 400, "NO_FILE")
    response = gateway.http.post("/detect", data=b"junk", content_type="multipart/form-data; boundary=x")
    error_of(response, 400, "NO_FILE")
    error_of(gateway.http.post("/detect", data=b"junk", content_type="multipart/form-data"), 400, "NO_FILE")


def test_empty_file_is_400(gateway: Gateway) -> None:
    error_of(upload(gateway, b""), 400, "EMPTY_FILE")


@pytest.mark.parametrize(
    "content",
    [b"plain text", b"#EXTM3U\nfile:///etc/passwd\n", b"<svg/>", b"\0\0\1\0" + bytes(99), b"ID3" + b"\0" * 99],
)
def test_other_media_is_415(gateway: Gateway, content: bytes) -> None:
    message = error_of(upload(gateway, content), 415, "UNSUPPORTED_MEDIA")
    assert message.startswith("file: ")
    assert "passwd" not in message


def test_a_format_that_is_not_accepted_is_415(gateway: Gateway) -> None:
    gateway.configure(accepted_formats="png,webp,mp4")
    assert upload(gateway, video()).status_code == 200
    message = error_of(upload(gateway, jpeg("p=0.25")), 415, "UNSUPPORTED_MEDIA")
    assert message == "file: JPEG is not accepted here; send an image (PNG, WebP) or a video (MP4)"


def test_a_video_that_is_cut_says_so(gateway: Gateway) -> None:
    body = upload(gateway, cut_clip()).json
    assert "VIDEO_INCOMPLETE" in {finding["code"] for finding in body["metadata"]["findings"]}
    assert body["metadata"]["format"] == "mkv"


def test_broken_video_is_422(gateway: Gateway) -> None:
    message = error_of(upload(gateway, video()[:40] + b"\0" * 600_000), 422, "MEDIA_DECODE_FAILED")
    assert message.startswith("file: ")
    assert "/tmp" not in message


def test_image_that_cannot_be_scored_is_422(gateway: Gateway) -> None:
    response = upload(gateway, jpeg("status=6"))
    error_of(response, 422, "NOTHING_SCORED")
    assert response.json["frames"] == [{"index": 0, "status": "DECODE_FAILED"}]


def test_limits_of_bytes_are_413(gateway: Gateway) -> None:
    gateway.configure(max_frame_bytes=1000, max_body_bytes=5000)
    assert upload(gateway, jpeg("p=0.25")).status_code == 200
    error_of(upload(gateway, jpeg("p=0.25") + b"\0" * 1000), 413, "IMAGE_TOO_LARGE")
    error_of(upload(gateway, b"\0" * 6000), 413, "BODY_TOO_LARGE")


def test_many_form_fields_are_413(gateway: Gateway) -> None:
    fields = {f"f{index}": "x" for index in range(2000)}
    error_of(gateway.http.post("/detect", data=fields, content_type="multipart/form-data"), 413, "BODY_TOO_LARGE")


def test_deadline_covers_the_upload(gateway: Gateway) -> None:
    gateway.configure(request_deadline_s=0.3)
    gateway.server.behaviour.delay_s = 1.0
    error_of(upload(gateway, jpeg("p=0.25")), 504, "DEADLINE")


def test_request_id_reaches_triton(gateway: Gateway) -> None:
    data = {"file": (io.BytesIO(jpeg("p=0.25")), "x")}
    gateway.http.post("/detect", data=data, headers={"X-Request-ID": "upload-7"})
    assert gateway.server.received[-1].request_id == "upload-7"


def test_an_empty_type_is_no_type(gateway: Gateway) -> None:
    assert upload(gateway, jpeg("p=0.25"), type="").status_code == 200
    assert upload(gateway, video(2), type="").json["metadata"]["input_type"] == "video"
