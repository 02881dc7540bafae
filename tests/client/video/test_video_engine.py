"""The video engine on long, odd and damaged clips: pixels of decoding everything, real times, little memory."""

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deepfake_client.errors import MediaDecodeError, UnsupportedMediaError
from deepfake_client.media import Frame, identify, open_media
from deepfake_client.scores import sample_indices
from deepfake_client.video import sample as video_module
from deepfake_client.video.colour import RgbConverter
from deepfake_client.video.picture import DecodedFrame, encode_picture, picture
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import LONG_VIDEO_S, Sampling, Timeline
from deepfake_client.video.source import VideoSource
from tests.media import (
    H264_SHORT_GOP,
    VideoSpec,
    numbered_frames,
    pixels_of,
    read_number,
    write_long_video,
    write_video,
)
from tests.service import ROOT

_X264 = {"preset": "veryfast", "sc_threshold": "0"}
_LONG = VideoSpec(900, size=(256, 64), rate=3, options={**_X264, "g": "30", "bf": "3"})  # five minutes


def sampled(path: Path, **options: Any) -> list[Frame]:
    with open_media(path) as stream:
        return sample_video(identify(stream, path.name), Sampling(**options))


def numbers_of(frames: list[Frame]) -> list[int]:
    return [read_number(pixels_of(frame.encoded)) for frame in frames]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("long") / "long.mp4", _LONG)


@pytest.fixture
def no_full_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> list[Frame]:
        raise AssertionError("the whole video was to be decoded")

    monkeypatch.setattr(video_module, "_decode_in_order", refuse)


def decoded_in_order(path: Path) -> list[bytes]:
    """Every frame, by a plain decoder without seeking, threads or skipping."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        every, converter = [], RgbConverter()
        key_frame = before = None
        for frame in container.decode(video):
            if frame.key_frame:
                key_frame, before = frame, None
            every.append(encode_picture(picture(DecodedFrame(frame, key_frame, before), None, converter)))
            before = frame
        return every


X264_STREAMS = {
    "pyramid of B frames": {"g": "100", "bf": "7", "refs": "4", "x264-params": "b-pyramid=normal:b-adapt=0"},
    "open groups": {"g": "40", "bf": "3", "x264-params": "open-gop=1"},
    "no B frames": {"g": "60", "bf": "0"},
    "interlaced": {"g": "60", "bf": "3", "x264-params": "interlaced=1"},
    "weighted prediction": {"g": "60", "bf": "5", "x264-params": "weightp=2:weightb=1:b-adapt=0"},
    "intra refresh": {"g": "60", "bf": "0", "x264-params": "intra-refresh=1"},
}


@pytest.mark.parametrize("name", X264_STREAMS)
def test_pixels_are_those_of_decoding_everything(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    if name != "intra refresh":  # whose later key frames do not stand for themselves
        request.getfixturevalue("no_full_decode")
    path = write_video(tmp_path / "clip.mp4", VideoSpec(200, size=(256, 96), options={**_X264, **X264_STREAMS[name]}))
    every = decoded_in_order(path)
    frames = sampled(path)
    assert [frame.encoded for frame in frames] == [every[i] for i in sample_indices(200)]


@pytest.mark.usefixtures("no_full_decode")
@pytest.mark.parametrize("exact", [True, False])
def test_a_long_video_gives_the_pixels_of_decoding_everything(long_clip: Path, exact: bool) -> None:
    every = decoded_in_order(long_clip)
    frames = sampled(long_clip, keyframes_may_stand_in=not exact)
    numbers = numbers_of(frames)
    assert [frame.encoded for frame in frames] == [every[number] for number in numbers]
    assert [frame.timestamp_s for frame in frames] == pytest.approx([number / 3 for number in numbers], abs=1e-3)
    if exact:
        assert numbers == sample_indices(900)
    else:
        even = np.array(sample_indices(900))
        assert np.abs(np.array(numbers) - even).max() <= 0.25 * 899 / 29 + 1
        assert sum(number % 30 == 0 for number in numbers) >= 14


@pytest.mark.usefixtures("no_full_decode")
def test_a_long_video_is_decoded_at_key_frames_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 frames scored: the decoder is fed no more than these and the way to the last one."""
    fed: list[int] = []
    original = video_module.VideoSource._packets_until

    def counted(self: Any, *args: Any) -> Iterator[Any]:
        for packet in original(self, *args):
            fed.append(packet.pts)
            yield packet

    monkeypatch.setattr(video_module.VideoSource, "_packets_until", counted)
    spec = VideoSpec(900, size=(256, 64), rate=3, options={**_X264, "g": "12", "bf": "3"})
    assert len(sampled(write_video(tmp_path / "long.mp4", spec))) == 30
    assert len(fed) <= 29 + 12


def test_a_decoder_has_few_threads_however_many_cores(
    long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds frames of its own: on 16 cores a video of 49 megapixels took 2.4 GiB."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    with open_media(long_clip) as stream, VideoSource(identify(stream, "clip")).open_video() as (_, video):
        assert 1 < video.codec_context.thread_count <= 4


def test_all_between_two_neighbours_that_broke_off_is_lost() -> None:
    """A hole of many groups is left within few attempts, whether or not its groups were tried."""
    timeline = Timeline(np.arange(100), np.arange(0, 100, 10), 1.0, True)
    groups = {10: [12], 30: [35], 50: [55], 80: [85, 89], 90: [99]}
    found = {12: b"", 85: b"", 99: b""}
    reached = {10: 12, 30: 33, 50: None, 80: 86, 90: 99}
    assert video_module._lost_spans(timeline, groups, found, reached) == [(34, 60), (87, 90)]


@pytest.mark.usefixtures("no_full_decode")
@pytest.mark.parametrize(("start", "end"), [(0.5, 0.52), (0.5, 0.7), (0.0, 0.1), (0.55, 1.0)])
def test_damage_in_a_long_video_does_not_cost_decoding_all_of_it(
    long_clip: Path, tmp_path: Path, start: float, end: float
) -> None:
    """Zeros stand where a download left off. The frames show their own numbers, none is from the hole."""
    content = bytearray(long_clip.read_bytes())
    media, size = content.index(b"mdat") + 4, content.index(b"moov") - content.index(b"mdat") - 8
    hole = slice(media + int(size * start), media + int(size * end))
    content[hole] = bytes(hole.stop - hole.start)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    frames = sampled(path)
    numbers = numbers_of(frames)
    assert len(set(numbers)) == 30
    assert [round(frame.timestamp_s * 3) for frame in frames] == [number - numbers[0] for number in numbers]
    inside = [number for number in numbers if 900 * start + 45 < number < 900 * end - 45]
    assert inside == []


def write_from(path: Path, first: int, count: int, options: dict[str, str] | None = None) -> Path:
    """Numbered frames whose presentation times begin at frame number `first`, in 25ths of a second."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=25, options={**H264_SHORT_GOP, "g": "25"})
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number, pixels in enumerate(numbered_frames(count, 256, 64)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_that_starts_late_is_timed_from_its_first_frame(tmp_path: Path, suffix: str) -> None:
    path = write_from(tmp_path / f"late.{suffix}", first=250, count=150)
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time * container.streams.video[0].time_base == 10
    frames = sampled(path)
    assert numbers_of(frames) == sample_indices(150)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in sample_indices(150)], abs=2e-3)


@pytest.mark.usefixtures("no_full_decode")
def test_frames_that_an_edit_list_cuts_off_are_not_scored(tmp_path: Path) -> None:
    """A video trimmed on a telephone: the packets before the cut are there, with the key frame, and are not shown."""
    path = write_from(tmp_path / "trimmed.mp4", first=-10, count=410)
    with av.open(str(path)) as container:
        assert sum(packet.is_discard for packet in container.demux(video=0)) == 10, "the clip must be a trimmed one"
    frames = sampled(path)
    assert numbers_of(frames) == [10 + number for number in sample_indices(400)]
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in sample_indices(400)], abs=2e-3)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
@pytest.mark.parametrize("container", ["mp4", "mkv", "avi"])
def test_refusals_are_in_words_of_our_own(tmp_path: Path, container: str, share: float) -> None:
    """Not in the decoder's, which no user knows: "Invalid data found when processing input"."""
    path = write_from(tmp_path / f"cut.{container}", 0, 30)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)] if container == "mp4" else content[: int(100 * share)])
    with pytest.raises(MediaDecodeError) as caught:
        sampled(path)
    message = str(caught.value)
    assert re.fullmatch(
        rf"cut\.{container}: (cannot be decoded as {container}: it is damaged.*MP4 with H\.264|.* no video .*)", message
    )


def without_length(frames: list[Frame]) -> list[Frame]:
    """What is said of the length is only repeated."""
    return [replace(frame, video_length=None) for frame in frames]


@pytest.mark.parametrize("claimed", [0, 1, 0xFFFFFFF0])
def test_the_duration_that_an_mp4_declares_is_not_believed(long_clip: Path, tmp_path: Path, claimed: int) -> None:
    content = bytearray(long_clip.read_bytes())
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = content.index(box) + offset
        content[at : at + 4] = struct.pack(">I", claimed)
    path = tmp_path / "lies.mp4"
    path.write_bytes(content)
    assert without_length(sampled(path)) == without_length(sampled(long_clip))


@pytest.mark.parametrize("claimed_ms", [1.0, 1e15])
def test_the_duration_that_an_mkv_declares_is_not_believed(tmp_path: Path, claimed_ms: float) -> None:
    honest = write_from(tmp_path / "honest.mkv", first=0, count=150)
    content = bytearray(honest.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = struct.pack(">d", claimed_ms)
    path = tmp_path / "lies.mkv"
    path.write_bytes(content)
    assert without_length(sampled(path)) == without_length(sampled(honest))


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_sound_beside_the_pictures_changes_nothing(tmp_path: Path, suffix: str) -> None:
    """The sound is longer than the video, begins before it and comes first in the file."""
    silent = write_from(tmp_path / "silent.mp4", first=0, count=100)
    path = tmp_path / f"sound.{suffix}"
    with av.open(str(path), "w") as container, av.open(str(silent)) as source:
        audio = container.add_stream("aac", rate=8000)
        audio.layout = "mono"
        video = container.add_stream_from_template(source.streams.video[0])
        for number in range(60):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 8000, number * 1024, Fraction(1, 8000)
            container.mux(audio.encode(sound))
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        container.mux(audio.encode(None))
    frames = sampled(path)
    assert numbers_of(frames) == sample_indices(100)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in sample_indices(100)], abs=2e-3)


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "aac"), ("webm", "libopus"), ("mov", "aac")])
def test_a_file_of_sound_alone_is_refused(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"sound.{suffix}"
    with av.open(str(path), "w") as container:
        audio = container.add_stream(codec, rate=48000)
        audio.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = 48000, 0, Fraction(1, 48000)
        for packet in [*audio.encode(sound), *audio.encode(None)]:
            container.mux(packet)
    with pytest.raises(UnsupportedMediaError, match="no video track"):
        sampled(path)


def test_where_all_times_are_zero_the_frame_rate_gives_them(tmp_path: Path) -> None:
    path = write_video(tmp_path / "zero.mp4", VideoSpec(60, size=(256, 64), rate=24, options={**_X264, "bf": "0"}))
    content = bytearray(path.read_bytes())
    at = content.index(b"stts") + 8
    (entries,) = struct.unpack_from(">I", content, at)
    for entry in range(entries):
        content[at + 8 + 8 * entry : at + 12 + 8 * entry] = bytes(4)  # the time that its frames last
    path.write_bytes(content)
    frames = sampled(path)
    assert numbers_of(frames) == sample_indices(60)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 24 for n in sample_indices(60)], abs=1e-3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_one_frame_is_a_video_too(tmp_path: Path, suffix: str) -> None:
    (frame,) = sampled(write_from(tmp_path / f"one.{suffix}", first=0, count=1))
    assert (read_number(pixels_of(frame.encoded)), frame.timestamp_s) == (0, 0.0)


_MEASURE = """
import json, re, sys
from pathlib import Path
from deepfake_client.media import identify, open_media
from deepfake_client.video.sample import sample_video
peaks = []
for name in sys.argv[1:]:
    with open_media(Path(name)) as stream:
        assert len(sample_video(identify(stream, name))) == 30
    # ru_maxrss would begin with the peak of the process that started this one.
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
print(json.dumps(peaks))
"""


@pytest.mark.parametrize(
    ("suffix", "repeats"),
    [("mp4", 90), pytest.param("avi", 30, id="avi-decoded-in-order")],  # 25 minutes; eight
)
def test_memory_does_not_grow_with_the_length(tmp_path: Path, suffix: str, repeats: int) -> None:
    options = {**_X264, "g": "250", "bf": "2"}
    spec = VideoSpec(500, size=(256, 64), rate=30, options=options)
    paths = [str(write_long_video(tmp_path / f"{n}.{suffix}", spec, n)) for n in (1, repeats)]
    command = [sys.executable, "-c", _MEASURE, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    after_short, after_long = json.loads(done.stdout)
    # Decoded, the frames of the long clips are 1 GB and 370 MB.
    assert after_long - after_short < 40
    assert after_long < 400
    assert repeats * spec.frames / spec.rate > 4 * LONG_VIDEO_S
