"""Transport and program streams: no index, and clocks that wrap or jump."""

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest

from deepfake_client.media import Frame, identify
from deepfake_client.scores import sample_indices
from deepfake_client.video import sample as video_module
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from tests.client.video.field_pictures import field_coded
from tests.media import H264_SHORT_GOP, VideoSpec, numbered_frames, pixels_of, read_number, write_long_video

WRAP = 2**33 * 25 // 90_000
"""Frames of 1/25 s until a clock of 33 bits and 90 kHz begins anew."""

CODECS = {
    "mpegts": ("libx264", H264_SHORT_GOP),
    "vob": ("mpeg2video", {"g": "12", "bf": "2", "b": "4000000"}),
}


def recording(container: str, numbers: range, starts_at: int) -> bytes:
    """Frames of 1/25 s with these numbers, the first one shown when the clock says `starts_at` frames."""
    buffer = io.BytesIO()
    codec, options = CODECS[container]
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number, pixels in enumerate(numbered_frames(numbers.stop, 256, 64)):
            if number in numbers:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = starts_at + number - numbers.start, Fraction(1, 25)
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def sampled(content: bytes, **options: object) -> list[Frame]:
    return sample_video(identify(io.BytesIO(content), "clip"), Sampling(**options))  # type: ignore[arg-type]


def numbers_of(frames: list[Frame]) -> list[int]:
    return [read_number(pixels_of(frame.encoded)) for frame in frames]


@pytest.fixture
def no_full_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[Frame]:
        raise AssertionError("the whole video was to be decoded")

    monkeypatch.setattr(video_module, "_decode_in_order", refuse)


@pytest.mark.usefixtures("no_full_decode")
@pytest.mark.parametrize("container", CODECS)
def test_a_clock_that_wraps(container: str) -> None:
    frames = sampled(recording(container, range(150), WRAP - 75))
    assert numbers_of(frames) == sample_indices(150)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in sample_indices(150)], abs=1e-3)


@pytest.mark.parametrize("second_start", [1_000_000, 0, 40], ids=["far ahead", "again", "a little back"])
@pytest.mark.parametrize("container", CODECS)
def test_recordings_that_were_joined_are_one_video(container: str, second_start: int) -> None:
    """The frames are spread over both, though by their clocks years or nothing may lie between them."""
    frames = sampled(recording(container, range(70), 0) + recording(container, range(70, 150), second_start))
    assert numbers_of(frames) == pytest.approx(sample_indices(150), abs=2)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in numbers_of(frames)], abs=0.13)


@pytest.mark.parametrize("container", CODECS)
def test_seeking_gives_the_pixels_of_decoding_everything(container: str, request: pytest.FixtureRequest) -> None:
    content = recording(container, range(150), 0)
    every = [frame.encoded for frame in sampled(content, count=150)]
    request.getfixturevalue("no_full_decode")
    assert [frame.encoded for frame in sampled(content)] == [every[number] for number in sample_indices(150)]


def test_a_recording_that_begins_within_a_group_of_pictures() -> None:
    content = recording("mpegts", range(150), 0)
    numbers = numbers_of(sampled(content[: 188 * 4] + content[188 * 40 :]))
    assert len(numbers) == 30
    assert numbers == sorted(numbers)
    assert numbers[0] % 12 == 0
    assert numbers[-1] == 149


@pytest.mark.usefixtures("no_full_decode")
def test_two_fields_in_two_packets_are_one_frame() -> None:
    content = field_coded(list(numbered_frames(36, 256, 64)))
    with av.open(io.BytesIO(content)) as opened:
        assert sum(packet.size > 0 for packet in opened.demux(video=0)) == 72
    frames = sampled(content)
    assert numbers_of(frames) == sample_indices(36)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in sample_indices(36)], abs=1e-3)


@pytest.mark.usefixtures("no_full_decode")
@pytest.mark.parametrize("name", ["long.ts", "long.mpg", "long.flv", "long.wmv"])
def test_a_long_video_is_not_decoded_whole(tmp_path: Path, name: str) -> None:
    """Its frames are those of the places, and of the same places in every container."""
    codec = {"mpg": "mpeg2video", "flv": "flv", "wmv": "wmv2"}.get(name[5:], "libx264")
    spec = VideoSpec(150, codec=codec, size=(256, 64), options={"g": "12", "b": "4000000"})
    path = write_long_video(tmp_path / name, spec, 21)
    frames = sampled(path.read_bytes(), keyframes_may_stand_in=False)
    assert numbers_of(frames) == [number % 150 for number in sample_indices(3150)]
    assert frames[-1].timestamp_s == pytest.approx(3149 / 25, abs=0.05)
