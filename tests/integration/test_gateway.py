"""The HTTP contract over the real gateway and the real Triton, on real media."""

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from deepfake_client import ClientSettings, Deadline, create_detector
from deepfake_client.media import identify, open_media
from deepfake_client.scores import sample_indices
from tests.media import VideoSpec, encode_image, photo, photo_pixels, write_video
from tests.service import Service

SCORES = (
    "video_score", "peak_risk", "mean_risk", "audio_score", "gan_fingerprint", "temporal_consistency", "risk_score",
    "confidence",
)  # fmt: skip


@pytest.fixture(scope="module")
def frames(service: Service) -> list[str]:
    """Thirty-five JPEG frames under the media root: a pan over a portrait."""
    folder = service.media_root / "clip"
    folder.mkdir(exist_ok=True)
    pixels = photo_pixels("astronaut.png")
    for i in range(35):
        (folder / f"{i:03}.jpg").write_bytes(encode_image(pixels[i : i + 400, i : i + 460], "JPEG", quality=90))
    return [f"clip/{i:03}.jpg" for i in range(35)]


def infer(service: Service, **body: Any) -> requests.Response:
    return requests.post(f"{service.url}/api/v1/inference", json=body, timeout=60)


def test_health_tells_what_is_served(service: Service) -> None:
    answer = requests.get(f"{service.url}/health", timeout=10)
    assert answer.status_code == 200
    body = answer.json()
    assert list(body)[:6] == ["status", "service", "version", "model", "model_status", "timestamp"]
    assert body["status"] == "healthy"
    assert body["service"] == "deepfake-detection-ml-service"
    assert body["model"] == "seeded-untrained"
    assert body["model_status"] == "loaded"
    assert abs((datetime.now(UTC) - datetime.fromisoformat(body["timestamp"])).total_seconds()) < 60


def test_thirty_frames_score_by_the_formulas(service: Service, frames: list[str]) -> None:
    answer = infer(
        service, hash="abc", mediaType="VIDEO", metadata={"width": 1}, extractedFrames=frames[:30], extractedAudio=None,
        modelVersion="v1", include=["frames"],
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    body = answer.json()
    p = np.array([frame["fake_probability"] for frame in body["frames"]])
    assert len(p) == body["frames_scored"] == 30
    assert body["faces_detected"] == 30
    assert body["video_score"] == round(100 * float(np.quantile(p, 0.9)), 2)
    assert body["peak_risk"] == round(100 * p.max(), 2)
    assert body["mean_risk"] == round(100 * p.mean(), 2)
    assert body["temporal_consistency"] == round(float(np.clip(100 - 1000 * p.var(), 0, 100)), 2)
    assert body["confidence"] == round(100 * np.maximum(p, 1 - p).mean(), 2)
    assert body["model_version"] == "v1"


def test_the_default_answer_has_exactly_ten_keys(service: Service, frames: list[str]) -> None:
    body = infer(service, mediaType="IMAGE", extractedFrames=frames[0]).json()
    assert list(body) == [*SCORES, "model_version", "inference_time"]
    assert isinstance(body["inference_time"], int)


def test_an_unreadable_frame_is_skipped(service: Service, frames: list[str]) -> None:
    (service.media_root / "junk.jpg").write_bytes(b"junk")
    listed = [frames[0], "junk.jpg", "clip/no-such-file.jpg", frames[1]]
    body = infer(service, mediaType="VIDEO", extractedFrames=listed, include=["frames"]).json()
    assert [frame["status"] == "OK" for frame in body["frames"]] == [True, False, False, True]
    assert body["frames"][1]["status"] == "NOT_AN_IMAGE"
    assert body["frames"][1]["fake_probability"] is None
    assert (body["frames_scored"], body["frames_failed"]) == (2, 2)


def test_more_than_thirty_paths_are_sampled_evenly(service: Service, frames: list[str]) -> None:
    body = infer(service, mediaType="VIDEO", extractedFrames=frames, include=["frames"]).json()
    assert [frame["index"] for frame in body["frames"]] == [(i * 34 + 14) // 29 for i in range(30)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"mediaType": "AUDIO", "extractedAudio": "a.wav"}, 415),
        ({"mediaType": "PHOTO"}, 400),
        ({"mediaType": "IMAGE", "extractedFrames": "../../etc/passwd"}, 403),
        ({"mediaType": "IMAGE", "extractedFrames": "/etc/passwd"}, 403),
        ({"mediaType": "IMAGE", "extractedFrames": "no-such-file.jpg"}, 422),
    ],
)
def test_errors_are_typed_json(body: dict[str, Any], status: int, service: Service) -> None:
    answer = infer(service, **body)
    assert answer.status_code == status
    assert {"error", "message", "code", "request_id"} <= set(answer.json())


def test_detect_takes_an_h264_video(service: Service, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", VideoSpec(frames=60))
    with clip.open("rb") as stream:
        answer = requests.post(f"{service.url}/detect", files={"file": ("x.bin", stream)}, timeout=60)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["result", "confidence_score", "processing_time_seconds", "metadata", "model_version"]
    assert body["result"] in ("real", "fake", "uncertain")
    assert body["metadata"]["input_type"] == "video"
    assert body["metadata"]["frames_analyzed"] == 30
    secret = service.run_dir.parent / "sampling-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    with open_media(clip) as stream, create_detector(service.grpc, ClientSettings(sampling_secret_file=secret)) as own:
        expected = [frame.timestamp_s for frame in own.read_frames(identify(stream, "clip"), Deadline(60))]
    assert [frame["timestamp_s"] for frame in body["metadata"]["frame_predictions"]] == pytest.approx(expected)
    assert expected != pytest.approx([number / 25 for number in sample_indices(60)])
    person = max(body["metadata"]["people"], key=lambda one: one["fake_probability"])
    faces = [face for frame in body["metadata"]["frame_predictions"] for face in frame["faces"]]
    mean = np.mean([face["fake_probability"] for face in faces if face["person"] == person["person"]])
    assert abs(body["confidence_score"] - mean) < 1e-9


def test_detect_says_that_the_weights_are_untrained(service: Service) -> None:
    with photo("coffee.png").open("rb") as stream:
        body = requests.post(f"{service.url}/detect", files={"file": stream}, timeout=60).json()
    assert body["metadata"]["model"]["trained"] is False
    assert "mean nothing" in body["metadata"]["model"]["notice"]
    assert "seeded-untrained" in body["model_version"]
