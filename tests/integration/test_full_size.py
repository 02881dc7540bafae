"""From checkpoint to JSON: equality with transformers' own pipeline. The long form is of the default's size."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from preprocessing import FaceFinder
from tests.media import encode_image, photo_pixels, pixels_of
from tests.seeded_checkpoint import make_untrained_checkpoint
from tests.service import Service, run_service


@dataclass(frozen=True)
class Served:
    """A running service, the checkpoint that it was made from, and its folder of releases."""

    service: Service
    checkpoint: Path
    releases: Path


@pytest.fixture(
    scope="module",
    params=["small", pytest.param("SigLIP2-base", marks=[pytest.mark.long, pytest.mark.full_size])],
)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Seeded weights. The small form is the service that other tests use too."""
    if request.param == "small":
        releases = request.getfixturevalue("tiny_release").path.parent
        yield Served(request.getfixturevalue("service"), request.getfixturevalue("tiny_checkpoint"), releases)
        return
    folder = tmp_path_factory.mktemp("full-size")
    make_untrained_checkpoint(folder / "seeded")
    patient = {"DEEPFAKE_REQUEST_DEADLINE_S": "100"}  # thirty frames in fp32, beside whatever else this machine does
    with run_service(folder / "seeded", folder / "releases", folder / "service", patient) as running:
        yield Served(running, folder / "seeded", folder / "releases")


def no_face_frames() -> list[tuple[str, bytes]]:
    """Thirty different windows of photos, as PNG and JPEG, in which the detector sees no face (cats look like one)."""
    rng = np.random.default_rng(3)
    finder = FaceFinder(next(iter(fetch_assets(FACE_MODELS).values())).parent)
    frames: list[tuple[str, bytes]] = []
    while len(frames) < 30:
        pixels = photo_pixels(str(rng.choice(["coffee.png", "chelsea.png", "rocket.jpg"])))
        sides = [int(v) for v in rng.integers(120, 300, 2)]
        top, left = (int(rng.integers(0, limit - side)) for limit, side in zip(pixels.shape, sides, strict=False))
        suffix, format_ = (".png", "PNG") if len(frames) % 2 else (".jpg", "JPEG")
        encoded = encode_image(pixels[top : top + sides[0], left : left + sides[1]], format_)
        if finder.largest_face(pixels_of(encoded)) is None:
            frames.append((f"{len(frames):02}{suffix}", encoded))
    finder.close()
    return frames


def test_untrained_weights_are_said_to_be_that(served: Served) -> None:
    health = requests.get(f"{served.service.url}/health", timeout=10).json()
    assert health["model"] == "seeded-untrained"
    assert health["trained"] is False


def test_scores_equal_the_transformers_pipeline_and_the_formulas(served: Served) -> None:
    from transformers import pipeline

    paths = []
    for name, encoded in no_face_frames():
        paths.append(served.service.media_root / name)
        paths[-1].write_bytes(encoded)
    body = requests.post(
        f"{served.service.url}/api/v1/inference",
        json={"mediaType": "VIDEO", "extractedFrames": [p.name for p in paths], "include": ["frames"]},
        timeout=120,
    ).json()
    assert body["faces_detected"] == 0

    classify = pipeline("image-classification", model=str(served.checkpoint), use_fast=False, device="cpu")
    expected = np.array([_fake(classify(Image.open(path))) for path in paths])
    answered = np.array([frame["fake_probability"] for frame in body["frames"]])
    assert expected.std() > 0.1  # equal constants would prove nothing
    assert np.abs(answered - expected).max() <= 1e-4

    p = expected
    video_score, peak = 100 * np.quantile(p, 0.9), 100 * p.max()
    formulas = {
        "video_score": video_score,
        "gan_fingerprint": video_score,
        "peak_risk": peak,
        "mean_risk": 100 * p.mean(),
        "audio_score": 0,
        "temporal_consistency": min(max(100 - 1000 * p.var(), 0), 100),
        "risk_score": 0.7 * video_score + 0.3 * peak if peak > video_score + 10 else video_score,
        "confidence": 100 * np.maximum(p, 1 - p).mean(),
    }
    for name, value in formulas.items():
        # 1e-4 of probability is 0.01 of a score, and rounding to two decimals adds half a unit.
        assert abs(body[name] - value) <= 0.015 + (0.2 if name == "temporal_consistency" else 0), name


def _fake(answer: list[dict[str, object]]) -> float:
    return float(next(entry["score"] for entry in answer if entry["label"] == "Fake"))  # type: ignore[arg-type]


def test_the_release_passed_the_gate(served: Served) -> None:
    parity = json.loads((served.releases / "current" / "export_report.json").read_text())["parity"]
    assert parity["max_dp"] <= 1e-5
    assert parity["std_p"] >= 0.2
