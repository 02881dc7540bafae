"""Further frames: those of a part of the time, timed as those of the whole video are."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfake_client.media import Frame, identify, open_media
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling, chosen_frames, spread
from tests.client.video.test_animation import COLOURS, animated, colours_of, plain
from tests.client.video.test_sampling import steady
from tests.media import VideoSpec, pixels_of, read_number, write_video

SEED = bytes(range(32))
Clip = Callable[[str], Path]


def sampled(media: Path | bytes, decode: Any = sample_video, **options: Any) -> list[Frame]:
    stream = io.BytesIO(media) if isinstance(media, bytes) else open_media(media)
    with stream:
        return decode(identify(stream, "clip"), Sampling(**options))


def check_numbers(frames: list[Frame], numbers: range | list[int], rate: int = 25) -> None:
    assert [read_number(pixels_of(frame.encoded)) for frame in frames] == list(numbers)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / rate for n in numbers], abs=1e-3)
    assert [frame.index for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize(
    "name", ["h264_gop12.mp4", "h264_gop250.mp4", "vp9.webm", "mpeg4_b_frames.avi", "vp8_hidden_frames.webm"]
)
def test_all_frames_of_a_short_part(clip: Clip, name: str) -> None:
    """Between two frames, which are known already."""
    check_numbers(sampled(clip(name), within_s=(1.0, 2.0)), range(26, 50))


def test_a_longer_part_is_spread_evenly(clip: Clip) -> None:
    frames = sampled(clip("h264_gop12.mp4"), within_s=(3.99, 13.0))
    check_numbers(frames, [100 + round(i * 224 / 29) for i in range(30)])
    check_numbers(sampled(clip("h264_gop12.mp4"), within_s=(3.99, 13.0), count=2), [100, 324])


def test_a_seed_decides_on_the_places(clip: Clip) -> None:
    frames = sampled(clip("h264_gop12.mp4"), within_s=(3.99, 13.0), seed=SEED)
    numbers = [read_number(pixels_of(frame.encoded)) for frame in frames]
    assert [int((number - 100) * 30 / 225 + 1e-9) for number in numbers] == list(range(30))
    assert numbers != [read_number(pixels_of(f.encoded)) for f in sampled(clip("h264_gop12.mp4"), within_s=(3.99, 13))]


def test_nothing_is_decoded_for_a_part_without_frames(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepfake_client.video.sample._decode_in_order", lambda *_: pytest.fail("decoded"))
    assert sampled(clip("h264_gop12.mp4"), within_s=(1.001, 1.039)) == []
    assert sampled(clip("h264_gop12.mp4"), within_s=(1000, 2000)) == []


def test_the_isolated_decoder_does_the_same(clip: Clip) -> None:
    decoder = IsolatedDecoder()
    try:
        for options in ({"within_s": (1.0, 2.0)}, {"within_s": (3.99, 13.0), "seed": SEED}, {"within_s": (1.01, 1.02)}):
            there = sampled(clip("h264_gop12.mp4"), decoder.sample_video, **options)
            assert there == sampled(clip("h264_gop12.mp4"), **options)
    finally:
        decoder.close()


def test_key_frames_stand_in_by_the_length_of_the_whole_video() -> None:
    """A part of two minutes of an hour takes as long to decode as any other."""
    clip = steady(3600, 2)
    part = chosen_frames(clip, Sampling(within_s=(1000.0, 1250.0)))
    times_s = clip.pts[part] / 1000
    assert len(part) == 30
    assert 1000 < times_s[0] < 1009
    assert 1241 < times_s[-1] < 1250
    assert np.isin(clip.pts[part], clip.keyframes_pts).sum() >= 28
    exact = chosen_frames(clip, Sampling(within_s=(1000.0, 1250.0), keyframes_may_stand_in=False))
    inside = np.flatnonzero((clip.pts > 1_000_000) & (clip.pts < 1_250_000))
    assert exact == [int(inside[i]) for i in spread(clip.pts[inside], Sampling())]


def test_a_costly_video_is_never_decoded_whole_for_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "long.mp4", VideoSpec(300, size=(256, 64), rate=2, options={"g": "20"}))
    check_numbers(sampled(path, within_s=(10.0, 14.0)), range(21, 28), rate=2)
    monkeypatch.setattr("deepfake_client.video.sample._decode_in_order", lambda *_: pytest.fail("decoded whole"))
    monkeypatch.setattr("deepfake_client.video.sample._decode_group", lambda *_: None)
    assert sampled(path, within_s=(10.0, 14.0)) == []


@pytest.mark.parametrize("seed", [b"", SEED])
def test_moments_of_an_animation(seed: bytes) -> None:
    encoded = animated("WEBP", [plain(colour) for colour in COLOURS], [1000, 3000, 2000])
    frames = sampled(encoded, within_s=(0.5, 1.5), seed=seed)
    assert colours_of(frames) == [0] * 15 + [1] * 15
    assert all(0.5 < frame.timestamp_s < 1.5 for frame in frames)
