"""Frames of an image or a video as encoded images, ready to be sent.

An image file is sent as it is. Frames of a video are decoded once and wrapped as uncompressed BMP: lossless, and far
cheaper than PNG on both sides.
"""

import bisect
import contextlib
import io
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.errors import MediaDecodeError, MediaNotFoundError, UnsupportedMediaError
from client.media import SNIFF_BYTES, MediaFormat, MediaType, sniff
from client.scorer import Deadline
from client.scores import MAX_SCORED_FRAMES, sample_indices

MAX_FRAME_PIXELS = 50_000_000
"""Largest width x height of a video, as for images: checked on the header, and by the decoder on every frame."""

_MAX_BMP_BYTES = 32 * 2**20
_READ_BYTES = 2**18
_WORTH_SEEKING = 0.6  # share of the frames that must still be decoded; above it one pass from the start is as fast


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


def read_frames(
    stream: BinaryIO,
    format_: MediaFormat,
    name: str,
    count: int = MAX_SCORED_FRAMES,
    deadline: Deadline | None = None,
) -> list[Frame]:
    """The frames of a media file that are scored: an image itself, or frames of a video spread evenly over it.

    Args:
        stream: Seekable, opened in binary mode.
        format_: From `identify`.
        name: What to call the file in messages.
        count: Number of frames of a video, fewer if it has fewer.
        deadline: Bounds the decoding of a video; None for no bound.

    Raises:
        MediaDecodeError: No frame of the video can be decoded.
        DeadlineExceededError: The deadline passed.
    """
    if format_.media_type is MediaType.IMAGE:
        return [Frame(0, 0.0, stream.read())]
    return sample_video(stream, format_, name, count, deadline)


def sample_video(
    stream: BinaryIO,
    format_: MediaFormat,
    name: str,
    count: int = MAX_SCORED_FRAMES,
    deadline: Deadline | None = None,
) -> list[Frame]:
    """Decodes up to `count` frames spread evenly over a video's decodable duration, first and last included.

    The packets are listed first without decoding, which gives the real time stamps whatever the container's header
    claims. Where key frames are close together, only the groups of pictures that hold a wanted frame are decoded;
    whenever that does not give exactly the wanted frames, and where it would save little, the video is decoded once
    from its start. Frames are turned as the file asks.

    Raises:
        MediaDecodeError: The container is broken, has no video, or no frame of it can be decoded.
        DeadlineExceededError: The deadline passed.
    """
    source = _Source(stream, format_, deadline)
    try:
        timeline = _read_timeline(source)
        frames = _decode_groups(source, timeline, count) or _decode_in_order(source, timeline, count)
        if not frames:
            source.keep_damaged = True
            frames = _decode_in_order(source, timeline, count)
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise MediaDecodeError(f"{name}: cannot be decoded as {format_.name}: {_reason(error)}") from error
    if not frames:
        raise MediaDecodeError(f"{name}: this {format_.name} file holds no video frame that can be decoded")
    return frames


@dataclass(frozen=True)
class _Timeline:
    """Presentation times of a video's packets, in stream time base units, ascending, without repeats."""

    pts: list[int]
    keyframes_pts: list[int]
    tick_s: float
    reliable: bool
    """False where the container knows only the decoding order, so that a packet's time is not its frame's."""


class _Source:
    """Opens one media file, as often as needed, so that nothing in it can reach another file or address."""

    def __init__(self, stream: BinaryIO, format_: MediaFormat, deadline: Deadline | None) -> None:
        self._stream = stream
        self._format = format_
        self._deadline = deadline
        self.keep_damaged = False

    @contextlib.contextmanager
    def open_video(self) -> "Iterator[tuple[av.container.InputContainer, av.VideoStream]]":
        """The container, opened with the one demuxer of the sniffed format and no protocol, and its video stream."""
        self._stream.seek(0)
        with av.open(
            self._stream,
            mode="r",
            format=self._format.demuxer,
            options={"protocol_whitelist": "none"},
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
            io_open=_refuse_to_open,
        ) as container:
            streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            if not streams:
                raise ValueError("it has no video stream")
            video = streams[0]
            if video.codec_context is None:
                raise ValueError("its video codec is not known")
            if video.width * video.height > MAX_FRAME_PIXELS:
                raise ValueError(f"its frames are {video.width} x {video.height}, over {MAX_FRAME_PIXELS} pixels")
            video.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            video.thread_type = "AUTO"
            yield container, video

    def packets(self, container: "av.container.InputContainer", video: "av.VideoStream") -> "Iterator[av.Packet]":
        """Whole packets from the current position; a file that is cut ends after its last whole one."""
        demuxed = container.demux(video)
        while True:
            self.check_deadline()
            try:
                packet = next(demuxed, None)
            except av.error.FFmpegError:
                return
            if packet is None:
                return
            if packet.size and not packet.is_corrupt:
                yield packet

    def decoded(self, container: "av.container.InputContainer", video: "av.VideoStream") -> "Iterator[av.VideoFrame]":
        """Frames in display order from the current position; what cannot be decoded is left out.

        After damage a decoder goes on from pictures that it made up, so what follows is left out too, up to the next
        key frame.
        """
        damaged = False
        for packet in itertools.chain(self.packets(container, video), [None]):
            try:
                frames = video.codec_context.decode(packet)
            except av.error.FFmpegError:
                damaged = True
                continue
            for frame in frames:
                damaged = frame.is_corrupt or (damaged and not frame.key_frame)
                if not damaged or self.keep_damaged:
                    yield frame

    def check_deadline(self) -> None:
        """Raises DeadlineExceededError when there is no time left."""
        if self._deadline is not None:
            self._deadline.remaining_s()

    @property
    def orders_by_decoding(self) -> bool:
        """Whether the container stores no presentation times."""
        return self._format.demuxer == "avi"


def _refuse_to_open(url: str, *_: Any) -> Any:
    raise PermissionError(f"the file refers to another one ({url[:80]!r}), which is not opened")


def _read_timeline(source: _Source) -> _Timeline:
    pts: set[int] = set()
    keyframes: set[int] = set()
    packets = 0
    with source.open_video() as (container, video):
        for packet in source.packets(container, video):
            time = packet.pts if packet.pts is not None else packet.dts
            if time is None or packet.is_discard:
                continue
            packets += 1
            pts.add(time)
            if packet.is_keyframe:
                keyframes.add(time)
        tick_s = float(video.time_base or 0)
    reliable = len(pts) == packets and (not source.orders_by_decoding or len(keyframes) == packets)
    return _Timeline(sorted(pts), sorted(keyframes), tick_s, reliable)


def _spread(times: list[int], count: int) -> list[int]:
    """Indices of up to `count` of the ascending times, spread evenly over the duration, first and last included."""
    if len(times) <= count:
        return list(range(len(times)))
    chosen = {_nearest(times, float(wanted)) for wanted in np.linspace(times[0], times[-1], count)}
    # Where frames lie far apart in time several wanted times share one frame: the rest is taken evenly by number.
    others = [i for i in range(len(times)) if i not in chosen] if len(chosen) < count else []
    chosen.update(others[i] for i in sample_indices(len(others), count - len(chosen)))
    return sorted(chosen)


def _nearest(ascending: list[int], value: float) -> int:
    right = bisect.bisect_left(ascending, value)
    candidates = [i for i in (right - 1, right) if 0 <= i < len(ascending)]
    return min(candidates, key=lambda i: abs(ascending[i] - value))


def _decode_groups(source: _Source, timeline: _Timeline, count: int) -> list[Frame]:
    """Decodes only the groups of pictures that hold a wanted frame; [] where decoding in order is right or cheaper."""
    times = timeline.pts
    wanted = [times[i] for i in _spread(times, count)]
    groups: dict[int, list[int]] = {}
    for pts in wanted:
        before = bisect.bisect_right(timeline.keyframes_pts, pts) - 1
        if before < 0:
            return []
        groups.setdefault(timeline.keyframes_pts[before], []).append(pts)
    cost = sum(bisect.bisect(times, group[-1]) - bisect.bisect_left(times, key) for key, group in groups.items())
    if not timeline.reliable or cost > _WORTH_SEEKING * len(times):
        return []
    found: dict[int, bytes] = {}
    with source.open_video() as (container, video):
        for keyframe, group in groups.items():
            try:
                container.seek(keyframe, stream=video, backward=True)
            except av.error.FFmpegError:
                return []
            _decode_group(source.decoded(container, video), group, found)
            if any(pts not in found for pts in group):
                return []
    return [_frame(i, pts - times[0], timeline.tick_s, found[pts]) for i, pts in enumerate(wanted)]


def _decode_group(decoded: "Iterator[av.VideoFrame]", wanted: list[int], found: dict[int, bytes]) -> None:
    """Adds the frames with the wanted times to `found`; stops early when times run backwards or past the last one."""
    last: int | None = None
    for frame in decoded:
        if frame.pts is None or (last is not None and frame.pts <= last):
            return
        last = frame.pts
        if frame.pts in wanted:
            found[frame.pts] = _encode(frame)
        if frame.pts >= wanted[-1]:
            return


def _decode_in_order(source: _Source, timeline: _Timeline, count: int) -> list[Frame]:
    """Decodes from the start, and once more when some packets turn out to give no frame: those move the others."""
    pictures, decoded = _pick(source, _spread(timeline.pts, count))
    times = _display_times(timeline, decoded)
    wanted = _spread(times, count)
    if any(i not in pictures for i in wanted):
        pictures, _ = _pick(source, wanted)
    kept = [i for i in wanted if i in pictures]
    return [_frame(n, times[i] - times[0], timeline.tick_s, pictures[i]) for n, i in enumerate(kept)]


def _pick(source: _Source, wanted: list[int]) -> tuple[dict[int, bytes], list[int | None]]:
    """Encodes the frames with the wanted numbers, in display order from 0, and lists the time of every frame."""
    numbers = set(wanted)
    pictures: dict[int, bytes] = {}
    times: list[int | None] = []
    with source.open_video() as (container, video):
        for number, frame in enumerate(source.decoded(container, video)):
            times.append(frame.pts)
            if number in numbers:
                pictures[number] = _encode(frame)
    return pictures, times


def _display_times(timeline: _Timeline, decoded: list[int | None]) -> list[int]:
    """The frames' own times if they ascend; otherwise the packets' times in order, which is all that is known."""
    known = [time for time in decoded if time is not None]
    if timeline.reliable and len(known) == len(decoded) and all(a < b for a, b in itertools.pairwise(known)):
        return known
    if len(timeline.pts) >= len(decoded):
        return timeline.pts[: len(decoded)]
    return list(range(len(decoded)))


def _frame(index: int, ticks: int, tick_s: float, encoded: bytes) -> Frame:
    return Frame(index, ticks * tick_s, encoded)


def _encode(frame: "av.VideoFrame") -> bytes:
    pixels = _upright(frame.to_ndarray(format="rgb24"), frame)
    # A release takes images up to some 64 MiB: beyond 4K the slower PNG keeps a frame below that, lossless too.
    lossless = {"format": "BMP"} if pixels.nbytes <= _MAX_BMP_BYTES else {"format": "PNG", "compress_level": 1}
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, **lossless)
    return buffer.getvalue()


def _upright(pixels: NDArray[np.uint8], frame: "av.VideoFrame") -> NDArray[np.uint8]:
    """Applies the display matrix: x' = a x + c y and y' = b x + d y, stored as a, b, u, c, d, v, ... (ISO 14496-12)."""
    matrix = next((bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return pixels
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, right_to_left, bottom_up = pixels.transpose(1, 0, 2), c < 0, b < 0
    else:
        right_to_left, bottom_up = a < 0, d < 0
    return pixels[:: -1 if bottom_up else 1, :: -1 if right_to_left else 1]


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
