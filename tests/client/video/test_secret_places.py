"""A video is made by someone who knows how it is sampled: what he cannot know is where."""

import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from deepfake_client import ClientSettings, DetectionOutput, DetectionResult, Detector, ModelInfo
from deepfake_client.scorer import Deadline, FrameScore, Scoring
from deepfake_client.scores import sample_indices
from deepfake_client.video.isolated import IsolatedDecoder
from tests.inference_server import DESCRIPTION
from tests.media import pixels_of

SECRET = "a secret of this deployment"


class ByBrightness:
    """Takes dark frames for fakes."""

    def info(self, deadline: Deadline) -> ModelInfo:
        return ModelInfo.model_validate(DESCRIPTION)

    def score(
        self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", face_boxes_px: Any = None
    ) -> Scoring:
        p = [1 - float(pixels_of(image).mean()) / 255 for image in images]
        return Scoring(self.info(deadline), [FrameScore("OK", one, (one, 1 - one)) for one in p])

    def close(self) -> None:
        pass


def write(path: Path, frames: int, bright: set[int], rate: int, options: dict[str, str]) -> Path:
    """64 x 64; bright are those of these numbers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "qp": "20", **options})
        stream.width = stream.height = 64
        stream.codec_context.time_base = Fraction(1, rate)
        for number in range(frames):
            pixels = np.full((64, 64, 3), 250 if number in bright else 5, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def real_at_even_places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("even") / "even.mp4"
    return write(path, 1500, set(sample_indices(1500)), 25, {"g": "50"})


@pytest.fixture(scope="module")
def real_at_key_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes."""
    path = tmp_path_factory.mktemp("keys") / "keys.mp4"
    return write(path, 900, set(range(0, 900, 10)) | {899}, 3, {"g": "10", "sc_threshold": "0"})


def detect(path: Path, secret: str = "", **options: object) -> DetectionOutput:
    settings = ClientSettings(sampling_secret=secret or None)
    with Detector(ByBrightness(), settings, **options) as detector:  # type: ignore[arg-type]
        return detector.detect(path)


def times(output: DetectionOutput) -> list[float]:
    return [frame.timestamp_s for frame in output.frames]


@pytest.mark.parametrize("name", ["real_at_even_places", "real_at_key_frames"])
def test_a_video_that_is_real_at_the_places_that_all_know_is_not_judged_real(
    name: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(name)
    assert detect(path).result is DetectionResult.REAL, "the video must be such a one"
    for secret in (SECRET, "another secret of another deployment"):
        output = detect(path, secret)
        assert output.result is not DetectionResult.REAL
        assert sum(frame.score.fake_probability > 0.5 for frame in output.frames) >= 13


def test_places_are_repeatable_with_the_secret_and_nobody_knows_them_without(
    real_at_even_places: Path, tmp_path: Path
) -> None:
    found = times(detect(real_at_even_places, SECRET))
    assert [int(time / 2) for time in found] == list(range(30)), "one in each thirtieth of the minute"
    renamed = shutil.copy(real_at_even_places, tmp_path / "renamed.mp4")
    assert times(detect(renamed, SECRET)) == found
    with renamed.open("ab") as file:
        file.write(b"\0\0\0\x08free")  # a box that nobody reads
    changed = times(detect(renamed, SECRET))
    others = times(detect(real_at_even_places, "another secret of another deployment"))
    for one in (changed, others, times(detect(real_at_even_places))):
        assert len(set(one) & set(found)) < 10


def test_moments_of_animations_are_secret_too(tmp_path: Path) -> None:
    first, *others = (Image.new("RGB", (64, 64), (grey, grey, grey)) for grey in range(0, 240, 2))
    path = tmp_path / "animated.png"
    first.save(path, save_all=True, append_images=others, duration=500)
    found = times(detect(path, SECRET))
    assert [int(time / 2) for time in found] == list(range(30))
    assert found == times(detect(path, SECRET))
    assert len(set(found) & set(times(detect(path)))) < 5


def test_a_decoder_in_its_own_process_takes_the_same_places(real_at_even_places: Path) -> None:
    decoder = IsolatedDecoder()
    try:
        isolated = detect(real_at_even_places, SECRET, decode_video=decoder.sample_video)
    finally:
        decoder.close()
    assert times(isolated) == times(detect(real_at_even_places, SECRET))


@pytest.fixture
def secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "secret"
    monkeypatch.setenv("DEEPFAKE_CLIENT_SAMPLING_SECRET_FILE", str(path))
    return path


def test_the_secret_may_be_a_file(secret_file: Path) -> None:
    secret_file.write_text(f"{SECRET}\n")
    assert ClientSettings().sampling_secret == ClientSettings(sampling_secret=SECRET).sampling_secret
    secret_file.write_text("\n")
    assert ClientSettings().sampling_secret is None


def test_a_secret_that_is_not_there_or_too_short_is_refused_and_never_shown(secret_file: Path) -> None:
    with pytest.raises(ValidationError, match=r"secret cannot be read"):
        ClientSettings()
    secret_file.write_text("easily guessed")
    with pytest.raises(ValidationError, match="16") as caught:
        ClientSettings()
    assert "easily" not in str(caught.value)
    assert SECRET not in repr(ClientSettings(sampling_secret=SECRET, sampling_secret_file=None))
