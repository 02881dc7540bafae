import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from deepfake_client import (
    ClientSettings,
    ConfigurationError,
    DeadlineExceededError,
    DetectionResult,
    Detector,
    EmptyFileError,
    InputError,
    MediaNotFoundError,
    MediaTooLargeError,
    MediaType,
    NothingScoredError,
    UnsupportedMediaError,
    create_detector,
)
from deepfake_client.media import Frame, sniff
from deepfake_client.triton.scorer import TritonScorer
from tests.inference_server import DESCRIPTION, EXPORT_ID, InferenceServer, jpeg


@pytest.fixture
def detector(server: InferenceServer) -> Iterator[Detector]:
    with create_detector(server.url) as made:
        yield made


@pytest.fixture
def said_frames(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Replaces the frames of the next videos by images that tell the test server their score."""

    def replace(says: list[str]) -> None:
        frames = [Frame(i, i / 2, jpeg(say)) for i, say in enumerate(says)]
        monkeypatch.setattr("deepfake_client.detector.read_frames", lambda *_, **__: frames)

    return replace


@pytest.mark.parametrize("provenance", [True, False])
def test_what_a_file_says_of_itself_never_costs_the_verdict(
    server: InferenceServer, provenance: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*_: object) -> None:
        calls.append("read")
        raise ValueError

    monkeypatch.setattr("deepfake_client.detector.read_provenance", fail)
    with create_detector(server.url, ClientSettings(provenance=provenance)) as made:
        output = made.detect(jpeg("p=0.875 face"))
    assert output.confidence_score == 0.875
    assert "provenance" not in output.metadata
    assert len(calls) == provenance


def test_an_image(detector: Detector, tmp_path: Path) -> None:
    content = jpeg("p=0.875 face")
    path = tmp_path / "photo.dat"
    path.write_bytes(content)
    output = detector.detect(path)
    assert output.result is DetectionResult.FAKE
    assert output.confidence_score == 0.875
    assert output.model_version == "example/detector@fp32-0123456789ab"
    assert 0 < output.processing_time_seconds < 5
    assert output.scores.video_score == pytest.approx(87.5)
    assert output.metadata == {
        "input_type": "image",
        "format": "jpeg",
        "frames_analyzed": 1,
        "frames_failed": 0,
        "frame_predictions": [
            {
                "index": 0,
                "timestamp_s": 0.0,
                "status": "OK",
                "fake_probability": 0.875,
                "face_box": [10.0, 20.0, 110.0, 140.0],
                "face_score": pytest.approx(0.9),
                "faces": [
                    {
                        "face_box": [10.0, 20.0, 110.0, 140.0],
                        "face_score": pytest.approx(0.9),
                        "fake_probability": 0.875,
                        "person": 1,
                    }
                ],
            }
        ],
        "faces_detected": 1,
        "people_found": 1,
        "people": [
            {
                "person": 1,
                "frames": 1,
                "fake_probability": 0.875,
                "peak": 0.875,
                "result": "fake",
                "largest_face_px": 100.0,
                "first_s": 0.0,
                "last_s": 0.0,
            }
        ],
        "deciding_person": 1,
        "sha256": hashlib.sha256(content).hexdigest(),
        "model": {
            "name": "example/detector",
            "release_id": "0123456789ab",
            "export_id": EXPORT_ID,
            "precision": "fp32",
            "labels": ["Fake", "Real"],
            "trained": True,
        },
        "assessable": True,
        "statement": output.details.statement.model_dump(mode="json"),
        "findings": [finding.model_dump(mode="json") for finding in output.findings],
    }
    assert output.details.statement.headline == "Signs of manipulation"
    assert [finding.code for finding in output.findings] == ["DEFAULT_BANDS"]


def test_a_video_end_to_end(
    detector: Detector, server: InferenceServer, clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pixels can spell "p=8" by chance: here every frame gets the score of its hash.
    monkeypatch.setattr("tests.inference_server._said", lambda _image, _pattern, _convert, otherwise: otherwise)
    output = detector.detect(str(clip("h264.mov")), MediaType.VIDEO)
    assert output.metadata["frames_analyzed"] == 30
    assert output.metadata["format"] == "mov"
    assert [frame.index for frame in output.frames] == list(range(30))
    assert output.frames[-1].timestamp_s == pytest.approx(149 / 25)
    assert output.metadata["sha256"] == hashlib.sha256(clip("h264.mov").read_bytes()).hexdigest()
    p = [frame.score.fake_probability for frame in output.frames]
    assert output.confidence_score == pytest.approx(sum(p) / 30)
    assert sum(len(received.images) for received in server.received) == 30
    assert all(image.startswith(b"II*\0") for received in server.received for image in received.images)


@pytest.mark.parametrize(("probabilities", "result"), [("0.61", "fake"), ("0.5", "uncertain"), ("0.39", "real")])
def test_videos_have_bands_of_their_own(
    detector: Detector, said_frames: Callable, clip: Callable[[str], Path], probabilities: str, result: str
) -> None:
    said_frames([f"p={probabilities}"] * 3)
    assert detector.detect(clip("mjpeg.avi")).result == result


def test_frames_that_fail_are_left_out_of_the_scores(
    detector: Detector, said_frames: Callable, clip: Callable[[str], Path]
) -> None:
    said_frames(["p=0.25 face", "status=6", "p=0.75 face"])
    output = detector.detect(clip("mjpeg.avi"))
    assert output.confidence_score == 0.5
    assert (output.metadata["frames_analyzed"], output.metadata["frames_failed"]) == (2, 1)
    assert output.metadata["faces_detected"] == 2
    failed = output.metadata["frame_predictions"][1]
    assert (failed["status"], failed["fake_probability"], failed["timestamp_s"]) == ("DECODE_FAILED", None, 0.5)


def test_nothing_scored_says_why_for_each_frame(
    detector: Detector, said_frames: Callable, clip: Callable[[str], Path]
) -> None:
    said_frames(["status=6", "status=5"])
    with pytest.raises(NothingScoredError, match=r"DECODE_FAILED\. Meaning of DECODE_FAILED") as caught:
        detector.detect(clip("mjpeg.avi"))
    assert caught.value.statuses == ("DECODE_FAILED", "TOO_MANY_PIXELS")


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO])
def test_bytes_and_streams(detector: Detector, wrap: Callable) -> None:
    assert detector.detect(wrap(jpeg("p=0.125"))).result is DetectionResult.REAL


def test_a_stream_opened_by_number_has_a_name_too(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"text")
    with os.fdopen(os.open(tmp_path / "x", os.O_RDONLY), "rb") as stream, pytest.raises(UnsupportedMediaError):
        detector.detect(stream)


def test_the_model_in_every_result_is_the_one_that_answered(detector: Detector, server: InferenceServer) -> None:
    server.behaviour.description = {**DESCRIPTION, "export_id": 1, "release_id": "old"}
    assert detector.info().release_id == "old"
    server.behaviour.description = {**DESCRIPTION, "notice": "Untrained weights."}
    output = detector.detect(jpeg("p=0.5"))
    assert output.metadata["model"]["export_id"] == EXPORT_ID
    assert output.metadata["model"]["notice"] == "Untrained weights."
    assert output.model_version.endswith("0123456789ab")


def test_a_wrong_media_type_is_refused_before_anything_is_sent(detector: Detector, server: InferenceServer) -> None:
    with pytest.raises(InputError, match="given as video, but its content is jpeg"):
        detector.detect(jpeg("p=0.5"), MediaType.VIDEO)
    assert server.received == []


def test_what_is_no_media(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match="no such file"):
        detector.detect(tmp_path / "none.jpg")
    with pytest.raises(UnsupportedMediaError):
        detector.detect(b"text")
    (tmp_path / "empty.jpg").touch()
    for nothing in (b"", io.BytesIO(), tmp_path / "empty.jpg"):
        with pytest.raises(EmptyFileError, match="the file is empty"):
            detector.detect(nothing)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(MediaNotFoundError, match="no regular file"):
        detector.detect(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(("format_", "name"), [("PNG", "png"), ("WEBP", "webp")])
def test_an_animated_picture_is_a_video(detector: Detector, format_: str, name: str) -> None:
    first, *others = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    encoded = io.BytesIO()
    first.save(encoded, format_, save_all=True, append_images=others, duration=500)
    output = detector.detect(encoded.getvalue())
    assert (output.metadata["input_type"], output.metadata["format"]) == ("video", name)
    assert output.metadata["frames_analyzed"] == 30
    with pytest.raises(InputError, match=f"given as image, but its content is animated {name}"):
        detector.detect(encoded.getvalue(), MediaType.IMAGE)


def test_the_deadline_covers_the_whole_detection(detector: Detector, server: InferenceServer) -> None:
    detector.info()
    server.behaviour.delay_s = 1.0
    with pytest.raises(DeadlineExceededError):
        detector.detect(jpeg("p=0.5"), timeout_s=0.2)


@pytest.mark.parametrize(
    "target",
    ["", "localhost", "localhost:", ":8001", "localhost:port", "http://localhost:8000", "/no/such/directory", "a/b:1"],
)
def test_targets_that_are_neither_address_nor_directory(target: str) -> None:
    with pytest.raises(ConfigurationError, match=r"(a Triton server|a web address).* or an existing directory"):
        create_detector(target)


def test_a_path_object_is_never_an_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither host:port"):
        create_detector(tmp_path / "release:8001")


@pytest.mark.parametrize("target", ["localhost:8001", "grpc://triton.example:9000", "[::1]:8001"])
def test_addresses(target: str) -> None:
    with create_detector(target, ClientSettings(attempts=1)) as made:
        assert isinstance(made.scorer, TritonScorer)
        assert made.settings.attempts == 1


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFAKE_CLIENT_TIMEOUT_S", "7.5")
    assert create_detector("localhost:8001").settings.timeout_s == 7.5


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x00\x00\x00\x1cftypavif" + b"\0" * 40, "avif"),
        (b"\x00\x00\x00\x1cftypheic" + b"\0" * 40, "heic"),
        (b"\x00\x00\x00\x1cftypmif1" + b"\0" * 4 + b"mif1avifmiaf" + b"\0" * 40, "avif"),
        (b"\x00\x00\x00\x1cftypmif1" + b"\0" * 4 + b"mif1heicmiaf" + b"\0" * 40, "heic"),
        (b"\x00\x00\x00\x14ftypmif1" + b"\0" * 4 + b"miafheic", None),  # behind the end of the box
        (b"\x00\x00\x00\x1cftypmsf1" + b"\0" * 4 + b"msf1hevcheic" + b"\0" * 40, "heic"),
        (b"\x00\x00\x00\x1cftypmif1" + b"\0" * 4 + b"mif1j2ki" + b"\0" * 40, None),
        (b"\x00\x00\x00\x1cftypisom" + b"\0" * 40, "mp4"),
        (b"\x00\x00\x00\x14ftypqt  " + b"\0" * 40, "mov"),
        (b"\x00\x00\x00\x08wide\0\0\0\0mdat", "mov"),
        (b"BMW is a car", None),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"),
        (b"BM\x1a\0\0\0\x15\0\x10\0\x1a\3\0\0\x0c\0\0\0", "bmp"),  # its bytes 6 to 9 are a hot spot
        (b"RIFF\0\0\0\0WAVE", None),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", None),
        (b"GIF89a", "gif"),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_sniffing(head: bytes, name: str | None) -> None:
    found = sniff(head)
    assert (found.name if found else None) == name


@pytest.mark.parametrize("timeout_s", [0, -1, 0.0, float("nan")])
def test_a_timeout_of_nothing_is_refused_not_replaced(
    detector: Detector, server: InferenceServer, timeout_s: float
) -> None:
    with pytest.raises(ConfigurationError, match="timeout_s must be more than 0"):
        detector.detect(jpeg("p=0.5"), timeout_s=timeout_s)
    with pytest.raises(ConfigurationError, match="timeout_s must be more than 0"):
        detector.info(timeout_s)
    assert server.received == []


def test_media_larger_than_the_setting_is_refused(server: InferenceServer, clip: Callable[[str], Path]) -> None:
    with create_detector(server.url, ClientSettings(max_media_bytes=1_000_000)) as made:
        assert made.detect(jpeg("p=0.5")).confidence_score == 0.5
        for media in (jpeg("p=0.5") + b"\0" * 1_000_000, clip("h264.mov")):
            with pytest.raises(MediaTooLargeError, match="over 1000000 bytes"):
                made.detect(media)
    assert len(server.received) == 1
