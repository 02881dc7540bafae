"""Frames of an image or a video as encoded images, ready to be sent.

An image file is sent as it is. Frames of a video are decoded once and wrapped as uncompressed BMP: lossless, and far
cheaper than PNG on both sides.
"""

import bisect
import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from PIL import Image

from client.errors import MediaDecodeError, MediaNotFoundError, UnsupportedMediaError
from client.media import SNIFF_BYTES, MediaFormat, MediaType, sniff
from client.scores import MAX_SCORED_FRAMES


@dataclass(frozen=True)
class Frame:
    """One frame of a media file.

    Attributes:
        index: Position among the extracted frames, from 0.
        timestamp_s: Presentation time in seconds from the first frame; 0.0 for an image.
        encoded: The frame as an encoded image file.
    """

    index: int
    timestamp_s: float
    encoded: bytes


@dataclass(frozen=True)
class _Timeline:
    """Presentation times of a video's packets, in stream time base units, ascending."""

    frames_pts: list[int]
    keyframes_pts: list[int]
    seconds_per_tick: float


def identify(stream: BinaryIO, name: str) -> MediaFormat:
    """The format of an open file, from its content; leaves the stream at its start.

    Raises:
        UnsupportedMediaError: Neither an accepted image nor an accepted video.
    """
    stream.seek(0)
    format_ = sniff(stream.read(SNIFF_BYTES))
    stream.seek(0)
    if format_ is None:
        raise UnsupportedMediaError(
            f"{name}: neither an image (JPEG, PNG, BMP, WebP) nor a video (MP4, MOV, AVI, MKV, WebM)"
        )
    return format_


@contextlib.contextmanager
def open_media(path: Path) -> Iterator[BinaryIO]:
    """Opens a media file for reading.

    Raises:
        MediaNotFoundError: There is no such regular file, or it may not be read.
    """
    if not path.is_file():
        raise MediaNotFoundError(f"{path}: no such file")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise MediaNotFoundError(f"{path}: {error.strerror}") from error
    with stream:
        yield stream


def read_frames(stream: BinaryIO, format_: MediaFormat, name: str, count: int = MAX_SCORED_FRAMES) -> list[Frame]:
    """The frames of a media file that are scored: an image itself, or frames of a video spread evenly over it.

    Args:
        stream: Seekable, opened in binary mode.
        format_: From `identify`.
        name: What to call the file in messages.
        count: Number of frames of a video, fewer if it has fewer.

    Raises:
        MediaDecodeError: No frame of the video can be decoded.
    """
    if format_.media_type is MediaType.IMAGE:
        return [Frame(0, 0.0, stream.read())]
    return sample_video(stream, format_, name, count)


def sample_video(stream: BinaryIO, format_: MediaFormat, name: str, count: int = MAX_SCORED_FRAMES) -> list[Frame]:
    """Decodes up to `count` frames spread evenly over a video's decodable duration, first and last included.

    The packets are listed first without decoding, which gives the real time stamps whatever the container's header
    claims; then each wanted frame is decoded from the nearest key frame before it, and key frames already passed are
    not sought again. Frames are rotated as the file asks.

    Raises:
        MediaDecodeError: The container is broken, has no video, or no frame of it can be decoded.
    """
    try:
        timeline = _read_timeline(stream, format_)
        frames = _decode_at(stream, format_, timeline, _targets(timeline, count)) if timeline.frames_pts else []
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise MediaDecodeError(f"{name}: cannot be decoded as {format_.name}: {error}") from error
    if not frames:
        raise MediaDecodeError(f"{name}: this {format_.name} file holds no video frame that can be decoded")
    return frames


def _open(stream: BinaryIO, format_: MediaFormat) -> "av.container.InputContainer":
    """Opens with the one demuxer of the sniffed format and no protocol: nothing in the file can name another one."""
    stream.seek(0)
    return av.open(
        stream, mode="r", format=format_.demuxer, options={"protocol_whitelist": "none"}, metadata_errors="replace"
    )


def _video_stream(container: "av.container.InputContainer") -> "av.VideoStream":
    streams = [s for s in container.streams.video if "attached_pic" not in s.disposition.name]
    if not streams:
        raise ValueError("it has no video stream")
    return streams[0]


def _read_timeline(stream: BinaryIO, format_: MediaFormat) -> _Timeline:
    frames: list[int] = []
    keyframes: list[int] = []
    with _open(stream, format_) as container:
        video = _video_stream(container)
        # A truncated file ends in an error after its last whole packet: what came before counts.
        with contextlib.suppress(av.error.FFmpegError):
            for packet in container.demux(video):
                pts = packet.pts if packet.pts is not None else packet.dts
                if pts is None or packet.size == 0 or packet.is_discard:
                    continue
                frames.append(pts)
                if packet.is_keyframe:
                    keyframes.append(pts)
        return _Timeline(sorted(frames), sorted(keyframes), float(video.time_base or 0))


def _targets(timeline: _Timeline, count: int) -> list[int]:
    """Presentation times evenly spread over the duration, each the time of a real frame, without repeats."""
    pts = timeline.frames_pts
    if len(pts) <= count:
        return sorted(set(pts))
    wanted = np.linspace(pts[0], pts[-1], count)
    nearest = np.asarray(pts)[[_nearest(pts, target) for target in wanted]]
    return sorted({int(value) for value in nearest})


def _nearest(ascending: list[int], value: float) -> int:
    right = bisect.bisect_left(ascending, value)
    candidates = [i for i in (right - 1, right) if 0 <= i < len(ascending)]
    return min(candidates, key=lambda i: abs(ascending[i] - value))


def _decode_at(stream: BinaryIO, format_: MediaFormat, timeline: _Timeline, targets: list[int]) -> list[Frame]:
    found: dict[int, bytes] = {}
    with _open(stream, format_) as container:
        video = _video_stream(container)
        video.thread_type = "AUTO"
        reader = _FrameReader(container, video, timeline.keyframes_pts)
        for target in targets:
            frame = reader.frame_at(target)
            if frame is not None and frame.pts not in found:
                found[_pts(frame)] = _to_bmp(frame)
    start = timeline.frames_pts[0]
    return [
        Frame(index, (pts - start) * timeline.seconds_per_tick, found[pts]) for index, pts in enumerate(sorted(found))
    ]


class _FrameReader:
    """Reads frames at ascending times, seeking only when a key frame lies between here and there."""

    def __init__(
        self, container: "av.container.InputContainer", video: "av.VideoStream", keyframes_pts: list[int]
    ) -> None:
        self._container = container
        self._video = video
        self._keyframes = keyframes_pts
        self._decoded = container.decode(video)
        self._last: av.VideoFrame | None = None

    def frame_at(self, target: int) -> "av.VideoFrame | None":
        """The first decodable frame at or after `target`, or the last one of the video."""
        if self._last is not None and _pts(self._last) >= target:
            return self._last
        before = bisect.bisect_right(self._keyframes, target) - 1
        position = _pts(self._last) if self._last is not None else None
        if before >= 0 and (position is None or self._keyframes[before] > position) and before > 0:
            self._seek(self._keyframes[before])
        with contextlib.suppress(StopIteration):
            while True:
                frame = self._next()
                if frame is None:
                    continue
                self._last = frame
                if _pts(frame) >= target:
                    break
        return self._last

    def _seek(self, pts: int) -> None:
        # A container without an index cannot seek: decoding then simply goes on from where it is.
        with contextlib.suppress(av.error.FFmpegError):
            self._container.seek(pts, stream=self._video, backward=True)
            self._decoded = self._container.decode(self._video)

    def _next(self) -> "av.VideoFrame | None":
        """The next frame; None for one that is corrupt. Raises StopIteration at the end."""
        try:
            frame = next(self._decoded)
        except av.error.EOFError:
            raise StopIteration from None
        except av.error.InvalidDataError:
            self._decoded = self._container.decode(self._video)
            return None
        return frame if frame.pts is not None or frame.dts is not None else None


def _pts(frame: "av.VideoFrame") -> int:
    value = frame.pts if frame.pts is not None else frame.dts
    return int(value or 0)


def _to_bmp(frame: "av.VideoFrame") -> bytes:
    pixels = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    if quarter_turns:
        pixels = np.rot90(pixels, quarter_turns)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="BMP")
    return buffer.getvalue()
