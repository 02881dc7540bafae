"""Which frames of a video are scored, and how they are reached: evenly spread, exact, decoding no more than needed."""

import bisect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np

from client.errors import MediaDecodeError
from client.media import Frame, MediaFormat
from client.scorer import Deadline
from client.scores import MAX_SCORED_FRAMES, sample_indices
from client.video_source import VideoSource

_WORTH_SEEKING = 0.6  # share of the frames that must still be decoded; above it one pass from the start is as fast


def sample_video(
    stream: BinaryIO,
    format_: MediaFormat,
    name: str,
    count: int = MAX_SCORED_FRAMES,
    deadline: Deadline | None = None,
    max_bytes: int | None = None,
) -> list[Frame]:
    """Decodes up to `count` frames spread evenly over a video's decodable duration, first and last included.

    The packets are listed first without decoding, which gives the real time stamps whatever the container's header
    claims. Where key frames are close together, only the groups of pictures that hold a wanted frame are decoded;
    whenever that does not give exactly the wanted frames, and where it would save little, the video is decoded once
    from its start. Frames are turned as the file asks.

    Raises:
        MediaDecodeError: The container is broken, has no video, or no frame of it can be decoded.
        MediaTooLargeError: The encoded frames hold more than `max_bytes` together.
        DeadlineExceededError: The deadline passed.
    """
    source = VideoSource(stream, format_, deadline, max_bytes, name)
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


def _read_timeline(source: VideoSource) -> _Timeline:
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


def _decode_groups(source: VideoSource, timeline: _Timeline, count: int) -> list[Frame]:
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
            _decode_group(source, source.decoded(container, video), group, found)
            if any(pts not in found for pts in group):
                return []
    return [_frame(i, pts - times[0], timeline.tick_s, found[pts]) for i, pts in enumerate(wanted)]


def _decode_group(
    source: VideoSource, decoded: "Iterator[av.VideoFrame]", wanted: list[int], found: dict[int, bytes]
) -> None:
    """Adds the frames with the wanted times to `found`; stops early when times run backwards or past the last one."""
    last: int | None = None
    for frame in decoded:
        if frame.pts is None or (last is not None and frame.pts <= last):
            return
        last = frame.pts
        if frame.pts in wanted:
            found[frame.pts] = source.encode(frame)
        if frame.pts >= wanted[-1]:
            return


def _decode_in_order(source: VideoSource, timeline: _Timeline, count: int) -> list[Frame]:
    """Decodes from the start, and once more when some packets turn out to give no frame: those move the others."""
    pictures, decoded = _pick(source, _spread(timeline.pts, count))
    times = _display_times(timeline, decoded)
    wanted = _spread(times, count)
    if any(i not in pictures for i in wanted):
        pictures.clear()  # never the frames of two passes in memory
        pictures, _ = _pick(source, wanted)
    kept = [i for i in wanted if i in pictures]
    return [_frame(n, times[i] - times[0], timeline.tick_s, pictures[i]) for n, i in enumerate(kept)]


def _pick(source: VideoSource, wanted: list[int]) -> tuple[dict[int, bytes], list[int | None]]:
    """Encodes the frames with the wanted numbers, in display order from 0, and lists the time of every frame."""
    numbers = set(wanted)
    pictures: dict[int, bytes] = {}
    times: list[int | None] = []
    with source.open_video() as (container, video):
        for number, frame in enumerate(source.decoded(container, video)):
            times.append(frame.pts)
            if number in numbers:
                pictures[number] = source.encode(frame)
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


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
