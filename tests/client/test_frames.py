import gc
import io
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from deepfake_client.detector import read_frames
from deepfake_client.errors import (
    DeadlineExceededError,
    MediaDecodeError,
    MediaNotFoundError,
    MediaTooLargeError,
    UnsupportedMediaError,
)
from deepfake_client.media import Frame, MediaType, identify, open_media
from deepfake_client.scorer import Deadline
from deepfake_client.scores import sample_indices
from deepfake_client.video import sample as video_module
from deepfake_client.video.picture import encode_picture
from deepfake_client.video.sampling import Sampling
from tests.client.clips import CLIPS
from tests.media import (
    H264_LONG_GOP,
    H264_SHORT_GOP,
    VideoSpec,
    add_sound,
    encode_image,
    numbered_frames,
    photo_pixels,
    pixels_of,
    read_number,
    write_video,
)

Clip = Callable[[str], Path]


def frames_of(path: Path) -> list[Frame]:
    with open_media(path) as stream:
        return read_frames(identify(stream, path.name))


def numbers_of(frames: list[Frame]) -> list[int]:
    return [read_number(pixels_of(frame.encoded)) for frame in frames]


@pytest.mark.parametrize("name", CLIPS)
def test_the_right_frames_of_every_container_and_codec(clip: Clip, name: str) -> None:
    frames = frames_of(clip(name))
    expected = sample_indices(CLIPS[name].frames)
    assert numbers_of(frames) == expected
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in expected], abs=1e-3)
    assert len({frame.encoded for frame in frames}) == 30


@pytest.mark.parametrize("name", ["h264_gop250.mp4", "h264_gop12.mp4", "mjpeg.avi", "vp9.webm"])
def test_pixels_are_those_that_opencv_decodes(clip: Clip, name: str) -> None:
    frames = frames_of(clip(name))
    capture = cv2.VideoCapture(str(clip(name)))
    numbers = iter(numbers_of(frames))
    wanted, index = next(numbers), 0
    for number in itertools.count():
        ok, bgr = capture.read()
        if not ok:
            break
        if number == wanted:
            difference = np.abs(pixels_of(frames[index].encoded).astype(int) - bgr[:, :, ::-1])
            assert difference.mean() < 1.5
            assert np.percentile(difference, 99) <= 8
            wanted, index = next(numbers, -1), index + 1
    assert index == 30


@pytest.mark.parametrize("count", [1, 2, 29, 30, 31])
def test_short_videos_give_every_frame_once(tmp_path: Path, count: int) -> None:
    path = write_video(tmp_path / "short.mp4", VideoSpec(count, options=H264_SHORT_GOP))
    assert numbers_of(frames_of(path)) == sample_indices(count)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_honoured_as_opencv_does(tmp_path: Path, rotation: int, suffix: str) -> None:
    spec = VideoSpec(40, rotation=rotation, size=(320, 240), options=H264_SHORT_GOP)
    path = write_video(tmp_path / f"turned.{suffix}", spec)
    frames = frames_of(path)
    assert numbers_of(frames) == sample_indices(40)
    first = pixels_of(frames[0].encoded)
    assert first.shape == (240, 320, 3)
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    upright = capture.read()[1][:, :, ::-1]
    assert upright.shape == first.shape
    assert np.abs(first.astype(int) - upright).mean() < 1.5


@pytest.mark.parametrize(
    ("matrix", "transform"),
    [
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
    ],
)
def test_mirrored_videos_are_mirrored_back(
    tmp_path: Path, matrix: tuple[int, int, int, int], transform: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The display matrix maps a stored point (x, y) to (a x + c y, b x + d y)."""
    a, b, c, d = (value * 65536 for value in matrix)
    path = tmp_path / "mirrored.mp4"
    upright = next(numbered_frames(1, 320, 240))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "10"})
        stored = np.ascontiguousarray(transform(upright))
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode(None))
    shown = pixels_of(frames_of(path)[0].encoded)
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).mean() < 8


def test_variable_frame_rate_is_spread_over_time_not_over_numbers(tmp_path: Path) -> None:
    slow = [second * 1.0 for second in range(30)]
    fast = [30 + i * 0.01 for i in range(200)]
    times = [*slow, *fast, 58.0]
    path = write_video(tmp_path / "vfr.mp4", VideoSpec(len(times), options=H264_SHORT_GOP, times_s=times))
    frames = frames_of(path)
    numbers = numbers_of(frames)
    assert len(set(numbers)) == 30
    assert numbers[0] == 0
    assert numbers[-1] == len(times) - 1
    assert [frame.timestamp_s for frame in frames] == pytest.approx([times[n] for n in numbers], abs=2e-3)
    # The first half of the duration gets about half of the frames, though it holds an eighth of them.
    assert sum(number < 30 for number in numbers) >= 13


def test_a_last_frame_far_away_in_time_does_not_starve_the_sample(tmp_path: Path) -> None:
    times = [*(i * 0.02 for i in range(99)), 600.0]
    path = write_video(tmp_path / "gap.mp4", VideoSpec(100, options=H264_SHORT_GOP, times_s=times))
    numbers = numbers_of(frames_of(path))
    assert len(numbers) == 30
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (0, 99)
    assert max(b - a for a, b in itertools.pairwise(numbers)) <= 5


def cut(path: Path, target: Path, share: float) -> Path:
    content = path.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def spread_over(numbers: list[int], share: float, count: int) -> bool:
    """Whether 30 numbers go evenly from 0 to about `share` of the video."""
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    last = numbers[-1]
    return (
        len(numbers) == 30
        and numbers[0] == 0
        and abs(last - share * count) < 0.15 * count
        and max(steps) - min(steps) <= 2
    )


@pytest.mark.parametrize("name", ["h264.mkv", "vp9.webm", "mjpeg.avi", "mpeg4.avi", "h264_b_frames.avi"])
@pytest.mark.parametrize("share", [0.6, 0.83])
def test_a_truncated_file_gives_30_frames_of_what_is_left(clip: Clip, tmp_path: Path, name: str, share: float) -> None:
    numbers = numbers_of(frames_of(cut(clip(name), tmp_path / name, share)))
    assert spread_over(numbers, share, CLIPS[name].frames), numbers


@pytest.mark.parametrize("options", [H264_SHORT_GOP, H264_LONG_GOP])
def test_a_truncated_mp4_gives_30_frames_of_what_is_left(tmp_path: Path, options: dict[str, str]) -> None:
    spec = VideoSpec(500, options=options, container_options={"movflags": "faststart"})
    path = cut(write_video(tmp_path / "whole.mp4", spec), tmp_path / "cut.mp4", 0.6)
    numbers = numbers_of(frames_of(path))
    assert spread_over(numbers, 0.55, 500), numbers


def test_an_mp4_cut_before_its_index_is_refused(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(MediaDecodeError, match=r"cut\.mp4: cannot be decoded as mp4"):
        frames_of(cut(clip("h264_gop12.mp4"), tmp_path / "cut.mp4", 0.6))


def damage(path: Path, target: Path, start: float, end: float) -> Path:
    """Overwrites a stretch of the packets with noise; the index stays."""
    content = bytearray(path.read_bytes())
    media = content.index(b"mdat") + 4
    length = content.index(b"moov", media) - media if b"moov" in content[media:] else len(content) - media
    noise = np.random.default_rng(7).integers(0, 256, int(length * (end - start)), np.uint8).tobytes()
    at = media + int(length * start)
    content[at : at + len(noise)] = noise
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("name", ["h264_gop12.mp4", "h264_gop250.mp4"])
def test_corrupt_packets_in_the_middle_cost_only_themselves(clip: Clip, tmp_path: Path, name: str) -> None:
    frames = frames_of(damage(clip(name), tmp_path / "damaged.mp4", 0.45, 0.55))
    assert len(frames) == 30
    assert read_number(pixels_of(frames[0].encoded)) == 0
    assert read_number(pixels_of(frames[-1].encoded)) == 599
    assert [frame.timestamp_s for frame in frames] == sorted({frame.timestamp_s for frame in frames})
    wrong = [frame.timestamp_s for frame in frames if not shows_its_own_number(frame)]
    assert len(wrong) <= 1, wrong


def shows_its_own_number(frame: Frame) -> bool:
    try:
        return read_number(pixels_of(frame.encoded)) == round(frame.timestamp_s * 25)
    except ValueError:
        return False


def test_undecodable_half_is_no_part_of_the_duration(clip: Clip, tmp_path: Path) -> None:
    frames = frames_of(damage(clip("h264_gop12.mp4"), tmp_path / "half.mp4", 0.5, 1.0))
    assert len(frames) == 30
    assert sum(frame.timestamp_s < 12.1 for frame in frames) >= 28
    assert sum(map(shows_its_own_number, frames)) >= 28


def test_audio_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        add_sound(container)
    with pytest.raises(UnsupportedMediaError, match="this MP4 file has no video track"):
        frames_of(path)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        audio = container.add_stream("aac", rate=44100)
        audio.layout = "mono"
        container.start_encoding()
        pixels = np.ascontiguousarray(photo_pixels("coffee.png")[:240, :320])
        container.mux(cover.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for number in range(20):
            frame.pts = number * 1024
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video, "the file must hold its cover as a stream for this test to mean anything"
    with pytest.raises(UnsupportedMediaError, match="no video track"):
        frames_of(path)


HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


@pytest.mark.parametrize("content", [HLS, CONCAT, SDP, SVG, b"\0" * 100, b"plain text"])
def test_nothing_but_accepted_media_passes_the_sniffer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(UnsupportedMediaError, match=r"clip\.mp4: .*send an image"):
        frames_of(path)


@pytest.mark.parametrize("playlist", [HLS, CONCAT])
def test_a_playlist_behind_a_video_header_opens_nothing(tmp_path: Path, playlist: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42\0\0\0\0mp42isom" + playlist)
    with pytest.raises(MediaDecodeError):
        frames_of(path)


def with_external_data_reference(clip_path: Path, target: Path, secret: Path) -> Path:
    """A MOV whose samples lie in another file, named by a Macintosh alias in its data reference (dref) atom."""
    content = bytearray(clip_path.read_bytes())
    at = content.index(b"url \x00\x00\x00\x01") - 4
    name = secret.name.encode()
    alias = bytearray(150)
    alias[50] = len(name)
    alias[51 : 51 + len(name)] = name
    level = (1).to_bytes(2, "big") + (1).to_bytes(2, "big")
    path = str(secret).encode()
    alias[130:134] = level
    alias += (2).to_bytes(2, "big") + len(path).to_bytes(2, "big") + path + b"\0" * (len(path) % 2)
    alias += b"\xff\xff\x00\x00"
    entry = b"alis" + b"\0\0\0\0" + bytes(alias)
    entry = (4 + len(entry)).to_bytes(4, "big") + entry
    grown = len(entry) - 12
    content[at : at + 12] = entry
    for atom in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = content.rindex(atom, 0, at) - 4
        size = int.from_bytes(content[start : start + 4], "big") + grown
        content[start : start + 4] = size.to_bytes(4, "big")
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("layer", ["drefs off", "protocols off", "no opener"])
def test_a_mov_that_refers_to_another_file_does_not_get_it(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    """Each of three layers holds alone: FFmpeg's default, the protocol list and the opener that refuses."""
    secret = tmp_path / "secret.mov"
    shutil.copy(clip("h264.mov"), secret)
    path = with_external_data_reference(clip("h264.mov"), tmp_path / "refers.mov", secret)
    careless = {"enable_drefs": "1", "use_absolute_path": "1"}
    with path.open("rb") as stream, av.open(stream, format="mov", options=careless) as container:
        assert sum(1 for _ in container.decode(video=0)) == 150, "the file must be a working attack"

    def open_with_one_layer(*args: Any, options: dict[str, str], io_open: Any, **rest: Any) -> Any:
        if layer == "protocols off":
            return real_open(*args, options={**options, **careless}, **rest)
        if layer == "no opener":
            return real_open(*args, options=careless, io_open=io_open, **rest)
        return real_open(*args, **rest)

    real_open = av.open
    monkeypatch.setattr(av, "open", open_with_one_layer)
    with pytest.raises(MediaDecodeError):
        frames_of(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match="no such file"), open_media(tmp_path / "none.mp4"):
        pass
    with pytest.raises(MediaNotFoundError, match="no regular file"), open_media(tmp_path):
        pass


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with pytest.raises(MediaNotFoundError), open_media(pipe):
        pass


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "WEBP"])
def test_an_image_is_sent_as_it_is(format_: str) -> None:
    content = encode_image(photo_pixels("coffee.png"), format_)
    media = identify(io.BytesIO(content), "coffee")
    assert (media.format.name, media.format.media_type) == (format_.lower(), MediaType.IMAGE)
    assert read_frames(media) == [Frame(0, 0.0, content)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("h264.mov", "mov"), ("h264_gop12.mp4", "mp4"), ("h264.mkv", "mkv"), ("vp8.webm", "webm"), ("mjpeg.avi", "avi")],
)
def test_videos_are_recognised_by_content(clip: Clip, name: str, expected: str) -> None:
    with clip(name).open("rb") as stream:
        assert identify(stream, "a.jpg").format.name == expected
        assert stream.tell() == 0


def test_frames_too_large_for_memory_are_refused_by_the_header(clip: Clip, tmp_path: Path) -> None:
    content = bytearray(clip("h264.mkv").read_bytes())
    width = content.index(b"\xb0\x82\x01\x40")  # PixelWidth 320, two bytes
    content[width : width + 4] = b"\xb0\x82\xff\xff"
    height = content.index(b"\xba\x81\xf0")  # PixelHeight 240, one byte
    content[height : height + 3] = b"\xba\x81\xff"
    path = tmp_path / "wide.mkv"
    path.write_bytes(content)
    frames = frames_of(path)  # the bit stream's own size counts, not the container's claim
    assert pixels_of(frames[0].encoded).shape == (240, 320, 3)


def test_large_frames_are_lossless_too_and_fit_the_servers_limit(tmp_path: Path) -> None:
    path = tmp_path / "8k.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuvj420p"
        pixels = np.ascontiguousarray(np.tile(photo_pixels("astronaut.png"), (9, 15, 1))[:4320, :7680])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    (frame,) = frames_of(path)
    assert len(frame.encoded) < 64 * 2**20
    assert pixels_of(frame.encoded).shape == (4320, 7680, 3)


def test_a_video_over_the_pixel_limit_is_refused(monkeypatch: pytest.MonkeyPatch, clip: Clip) -> None:
    monkeypatch.setattr("deepfake_client.video.source.MAX_FRAME_PIXELS", 320 * 240 - 1)
    with pytest.raises(MediaDecodeError, match="320 x 240, over 76799 pixels"):
        frames_of(clip("h264.mkv"))


def test_decoding_stops_at_the_deadline(clip: Clip) -> None:
    deadline = Deadline(0.02)
    time.sleep(0.02)
    with open_media(clip("h264_gop250.mp4")) as stream, pytest.raises(DeadlineExceededError):
        read_frames(identify(stream, "clip"), Sampling(deadline=deadline))


def test_only_what_saves_nothing_is_decoded_in_full(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short groups are left out where no frame is wanted, and in H.264 at least the frames that nothing refers to."""
    decoded = []
    monkeypatch.setattr("deepfake_client.video.sample._decode_in_order", lambda *_: decoded.append(1) or [])
    assert len(frames_of(clip("h264_1000_frames.mp4"))) == 30
    assert len(frames_of(clip("h264_gop250.mp4"))) == 30
    assert not decoded
    with pytest.raises(MediaDecodeError):
        frames_of(clip("hevc.mp4"))
    assert decoded, "seeks into HEVC's long groups save nothing: one pass is expected"


def test_a_seek_that_lands_late_falls_back_to_decoding_in_order(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    original = video_module._decode_group

    def late(source: Any, decoded: Iterator[Any], wanted: list[int], found: dict[int, bytes]) -> None:
        original(source, itertools.islice(decoded, 8, None), wanted, found)

    monkeypatch.setattr(video_module, "_decode_group", late)
    assert numbers_of(frames_of(clip("h264_gop12.mp4"))) == sample_indices(600)


@pytest.mark.parametrize(
    ("name", "reliable"), [("h264.mov", True), ("h264.mkv", True), ("mjpeg.avi", True), ("h264_b_frames.avi", False)]
)
def test_packet_times_of_an_avi_with_b_frames_are_not_trusted(clip: Clip, name: str, reliable: bool) -> None:
    """AVI knows the decoding order only: a seek by its times would find a neighbour of the wanted frame."""
    with open_media(clip(name)) as stream:
        source = video_module.VideoSource(identify(stream, name))
        assert video_module._read_timeline(source).reliable is reliable


@pytest.mark.parametrize("name", ["mjpeg.avi", "mpeg4.avi", "h264.mkv"])
@pytest.mark.parametrize("share", [0.6, 0.61, 0.62, 0.63])
def test_a_packet_that_is_cut_is_not_shown(clip: Clip, tmp_path: Path, name: str, share: float) -> None:
    """A cut JPEG, for one, decodes to a picture whose lower part is grey."""
    with open_media(clip(name)) as stream:
        whole = read_frames(identify(stream, name), Sampling(1000))
    frames = frames_of(cut(clip(name), tmp_path / name, share))
    for frame in frames[-3:]:
        assert frame.encoded == whole[read_number(pixels_of(frame.encoded))].encoded


def test_ffmpeg_prints_nothing_about_damaged_files(
    clip: Clip, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames_of(damage(clip("h264_gop12.mp4"), tmp_path / "damaged.mp4", 0.4, 0.6))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("size", "magic"), [((1920, 1080), b"II*\0"), ((2560, 1440), b"\x89PNG")])
def test_frames_beyond_1080p_are_png_and_lossless_too(size: tuple[int, int], magic: bytes) -> None:
    (pixels,) = numbered_frames(1, *size)
    encoded = encode_picture(pixels)
    assert encoded.startswith(magic)
    np.testing.assert_array_equal(pixels_of(encoded), pixels)


@pytest.mark.parametrize("name", ["h264_gop12.mp4", "h264_gop250.mp4"])
def test_the_frames_of_a_video_are_bounded_in_bytes(clip: Clip, name: str) -> None:
    """A pass that is begun anew, and the one that a failed seek leaves, do not count twice."""
    total = sum(len(frame.encoded) for frame in frames_of(clip(name)))
    with open_media(clip(name)) as stream:
        media = identify(stream, name)
        assert len(read_frames(media, Sampling(max_bytes=total))) == 30
        with pytest.raises(MediaTooLargeError, match=f"{name}: .*320 x 240, hold over {total - 1} bytes"):
            read_frames(media, Sampling(max_bytes=total - 1))


def test_an_image_file_is_bounded_in_bytes_before_it_is_read() -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 <= size <= 5001
            return super().read(size)

    stream = Endless(encode_image(photo_pixels("coffee.png"), "PNG"))
    with pytest.raises(MediaTooLargeError, match="over 5000 bytes"):
        read_frames(identify(stream, "x.png"), Sampling(max_bytes=5000))


def test_large_frames_are_not_kept_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame stands in a cycle with its side data: a clip of 4K once held 30 decoded frames of 12 MB until its end."""
    path = write_video(tmp_path / "large.mp4", VideoSpec(8, size=(2560, 1440), options={"preset": "ultrafast"}))
    alive = []

    def counted(pixels: np.ndarray) -> bytes:
        alive.append(sum(type(one) is av.VideoFrame for one in gc.get_objects()))
        return encode_picture(pixels)

    monkeypatch.setattr("deepfake_client.video.source.encode_picture", counted)
    gc.disable()
    try:
        assert len(frames_of(path)) == 8
    finally:
        gc.enable()
    assert max(alive) - alive[0] <= 3
