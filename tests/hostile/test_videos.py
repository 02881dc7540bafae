"""Every hostile video of the catalogue ends as it should, in bounded time and memory, and reads nothing else."""

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from deepfake_client.detector import read_frames
from deepfake_client.errors import InputError
from deepfake_client.media import Frame, identify
from deepfake_client.video.isolated import DecodeLimits, IsolatedDecoder
from tests.canaries import AddressCanary, FileCanary
from tests.hostile.media_structure import split
from tests.hostile.streams import hostile_streams, stream_clips
from tests.hostile.videos import (
    ALL_FRAMES,
    ELSEWHERE,
    FRAMES,
    REFUSAL,
    HostileVideo,
    clip,
    hostile_videos,
    number_shown,
)

VIDEOS = {video.name: video for video in [*hostile_videos(), *hostile_streams(ELSEWHERE)]}
STREAMS = [name for name in stream_clips() if name != "m2ts"]
MOST_S = 10.0


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    made = IsolatedDecoder(DecodeLimits(time_s=2 * MOST_S, memory_bytes=2**30))
    yield made
    made.close()


def frames_of(content: bytes, decoder: IsolatedDecoder | None = None) -> list[Frame]:
    media = identify(io.BytesIO(content), "clip")
    return read_frames(media) if decoder is None else read_frames(media, decode_video=decoder.sample_video)


def assert_right(video: HostileVideo, content: bytes, decoder: IsolatedDecoder | None = None) -> None:
    try:
        frames = frames_of(content, decoder)
    except InputError:
        assert video.expected != ALL_FRAMES
        return
    assert video.expected != REFUSAL
    assert [frame.timestamp_s for frame in frames] == sorted(frame.timestamp_s for frame in frames)
    if not video.name.startswith("AVI"):
        numbers = [number_shown(frame.encoded) for frame in frames]
        assert None not in numbers, "a frame that the clip does not have"
        if video.expected == ALL_FRAMES:
            assert numbers == list(range(FRAMES))


@pytest.mark.parametrize("name", VIDEOS)
def test_each_ends_as_it_should(name: str, decoder: IsolatedDecoder) -> None:
    video = VIDEOS[name]
    content = video.make()
    started = time.perf_counter()
    assert_right(video, content, decoder)
    assert time.perf_counter() - started < MOST_S


def test_names_are_unique() -> None:
    assert len(VIDEOS) == len(hostile_videos()) + len(hostile_streams(ELSEWHERE))


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "avi", *STREAMS])
def test_a_file_cut_at_any_boundary_gives_real_frames_or_is_refused(container: str, decoder: IsolatedDecoder) -> None:
    whole = stream_clips().get(container) or clip(container, "mpeg4" if container == "avi" else "libx264")
    end = 0
    for number, piece in enumerate(split(whole)[:-1]):
        end += len(piece)
        if container == "ts" and (number < 8 or number % 4):
            continue  # of the first 8 packets a part of the first picture is shown, there being no other
        assert_right(HostileVideo(f"cut at {end}", lambda: b""), whole[:end], decoder)


def test_they_do_read_it_where_nothing_stops_them(tmp_path: Path) -> None:
    address, file = AddressCanary(), FileCanary(tmp_path / "canary.mov", clip("mov"))
    careless = {"enable_drefs": "1", "use_absolute_path": "1", "safe": "0", "protocol_whitelist": "file,http,tcp"}
    try:
        for elsewhere in (address.url, str(file.path)):
            for video in hostile_videos(elsewhere):
                if video.name in ("playlist: concatenation, alone", "reference: samples in another file"):
                    path = tmp_path / "careless"
                    path.write_bytes(video.make())
                    with (
                        contextlib.suppress(av.error.FFmpegError),
                        av.open(str(path), options=careless, timeout=1) as opened,
                    ):
                        next(opened.decode(video=0), None)
        assert address.was_called()
        assert file.was_opened()
    finally:
        address.close()
        file.close()


@pytest.mark.parametrize("isolated", [True, False])
def test_nothing_that_a_video_points_to_is_read(isolated: bool, decoder: IsolatedDecoder, tmp_path: Path) -> None:
    """Not in a process that can open nothing, and not in a thread that could."""
    address, file = AddressCanary(), FileCanary(tmp_path / "canary.mov", clip("mov"))
    try:
        for elsewhere in (address.url, str(file.path), file.path.as_uri()):
            for video in [*hostile_videos(elsewhere), *hostile_streams(elsewhere)]:
                if video.name.startswith(("playlist", "reference", "Matroska")) or "address" in video.name:
                    assert_right(video, video.make(), decoder if isolated else None)
        assert not address.was_called()
        assert not file.was_opened()
        file.path.read_bytes()
        assert file.was_opened(), "the canary must be able to tell"
    finally:
        address.close()
        file.close()
