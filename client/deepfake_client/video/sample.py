"""How the scored frames of a video are reached: exact, decoding no more than needed."""

from array import array
from collections.abc import Collection, Iterator
from dataclasses import replace

import av
import numpy as np

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError, UnsupportedMediaError
from deepfake_client.media import Frame, Media, VideoLength
from deepfake_client.video.animation import sample_animation
from deepfake_client.video.picture import DecodedFrame, EncodedFrame
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling, Timeline, Times, chosen_frames, spread_within
from deepfake_client.video.source import FrameBeforeMissingError, FrameStore, VideoSource
from deepfake_client.video.unindexed import SecondFields

_WORTH_SEEKING = 0.9  # share of the frames that must still be decoded; above it one pass from the start is as fast
_UNKNOWN = np.iinfo(np.int64).min  # the time of a frame that has none
_FAULTS = (av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, AttributeError)
_FAULTY = (  # whatever the decoder itself says about it
    "it is damaged, not complete, or coded in a way that is not supported; send the whole file, or convert it to MP4 "
    "with H.264"
)
_ATTEMPTS = 5  # at a costly video whose key frames turn out to be damaged, before all of it is decoded


def sample_video(media: Media, sampling: Sampling = DEFAULT_SAMPLING, store: FrameStore | None = None) -> list[Frame]:
    """Decodes up to `sampling.count` frames spread over a video's decodable duration, by `chosen_frames`.

    The packets are listed first without decoding, which gives the real time stamps whatever the container's header
    claims. Then only the groups of pictures that hold a wanted frame are decoded; whenever that does not give exactly
    the wanted frames, and where it would save little, the video is decoded once from its start. The pixels are those
    that decoding from the start gives. Frames are as players show them: `picture` says more.

    Where `sampling.within_s` holds no frame there is none; of a costly video also where it takes too long to reach any.

    Args:
        media: The video.
        sampling: Number, places and bounds of the frames.
        store: Takes the frames; `Frame.encoded` then is what it returns for each.

    Raises:
        UnsupportedMediaError: It has no video track.
        MediaDecodeError: The container is broken, or no frame of it can be decoded.
        MediaTooLargeError: The encoded frames hold more than `max_bytes` together, or there is too little memory.
        DeadlineExceededError: The deadline passed.
    """
    if media.format.is_animation:
        return sample_animation(media, sampling, store)
    source, name, format_ = VideoSource(media, sampling, store), media.name, media.format
    short_of_memory = f"{name}: this {format_.name} file takes too much memory to decode; send it at a lower resolution"
    try:
        timeline = _read_timeline(source)
        if timeline.reliable and sampling.within_s is not None and not chosen_frames(timeline, sampling):
            return []
        frames = _decode_groups(source, timeline, sampling)
        if not frames and not (timeline.is_costly and sampling.within_s):
            frames = _decode_in_order(source, timeline, sampling)
        if not frames and sampling.within_s is None:
            source.keep_damaged = True
            frames = _decode_in_order(source, timeline, sampling)
    except UnsupportedMediaError as error:
        raise UnsupportedMediaError(f"{name}: this {format_.title} file {error}; send an image or a video") from error
    except MemoryError as error:  # PyAV's is an FFmpegError as well
        raise MediaTooLargeError(short_of_memory) from error
    except (MediaDecodeError, *_FAULTS) as error:
        reason = str(error) if isinstance(error, MediaDecodeError) else _FAULTY
        raise MediaDecodeError(f"{name}: cannot be decoded as {format_.name}: {reason}") from error
    if not frames and source.short_of_memory:
        raise MediaTooLargeError(short_of_memory)
    if not frames and sampling.within_s is None:
        raise MediaDecodeError(f"{name}: this {format_.name} file holds no video frame that can be decoded")
    length = None
    if source.said_s is not None and sampling.within_s is None:
        length = VideoLength(source.said_s, timeline.decodable_s(frames, sampling.count))
    return [
        replace(frame, video_track=source.track, video_length=length, container_tags=source.tags) for frame in frames
    ]


def _frame(index: int, timestamp_s: float, picture: EncodedFrame) -> Frame:
    return Frame(index, timestamp_s, picture.encoded, sketch=picture.sketch)


def _read_timeline(source: VideoSource) -> Timeline:
    pts, keyframes, end = array("q"), array("q"), _UNKNOWN
    with source.open_video() as (container, video):
        second_fields = SecondFields(video)
        for packet in source.packets(container, video):
            if packet in second_fields:
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            if time is None:
                continue
            if packet.is_keyframe:
                keyframes.append(time)
            if not packet.is_discard:
                pts.append(time)
                end = max(end, time + (packet.duration or 0))
        tick_s, frame_px = float(video.time_base or 0), video.width * video.height
    times, keyframe_times = np.unique(np.array(pts, np.int64)), np.unique(np.array(keyframes, np.int64))
    reliable = len(times) == len(pts) and (not source.orders_by_decoding or len(keyframes) == len(pts))
    return Timeline(times, keyframe_times, tick_s, reliable, frame_px, end)


def _decode_groups(source: VideoSource, timeline: Timeline, sampling: Sampling) -> list[Frame]:
    """Decodes only the groups of pictures that hold a wanted frame; [] where decoding in order is right or cheaper.

    To decode a costly video in order for one damaged group could take minutes. There the frames that did not come are
    taken out of the timeline, and the frames to be scored are chosen anew from the rest.
    """
    costly = timeline.is_costly
    if costly and len(timeline.keyframes_pts):
        timeline = timeline.without([(int(timeline.pts[0]), int(timeline.keyframes_pts[0]))])
    for _ in range(_ATTEMPTS if costly else 1):
        wanted = [int(timeline.pts[i]) for i in chosen_frames(timeline, sampling)]
        groups = _groups(timeline, wanted)
        if not groups or not _worth_seeking(source, timeline, groups):
            return []
        found, reached = _decode_each(source, groups)
        if len(found) == len(wanted):
            start = int(timeline.pts[0])
            return [_frame(i, (pts - start) * timeline.tick_s, found[pts]) for i, pts in enumerate(wanted)]
        timeline = timeline.without(_lost_spans(timeline, groups, found, reached))
    return []


def _groups(timeline: Timeline, wanted: list[int]) -> dict[int, list[int]]:
    """The wanted times by the key frame at which decoding towards them begins; {} if one has none."""
    groups: dict[int, list[int]] = {}
    for pts in wanted:
        keyframe = timeline.keyframe_before(pts)
        if keyframe is None:
            return {}
        groups.setdefault(keyframe, []).append(pts)
    return groups


def _worth_seeking(source: VideoSource, timeline: Timeline, groups: dict[int, list[int]]) -> bool:
    times = timeline.pts
    cost = sum(
        int(np.searchsorted(times, group[-1], "right") - np.searchsorted(times, keyframe))
        for keyframe, group in groups.items()
    )
    return timeline.reliable and (source.skips_unreferenced or cost <= _WORTH_SEEKING * len(times))


def _decode_each(
    source: VideoSource, groups: dict[int, list[int]]
) -> tuple[dict[int, EncodedFrame], dict[int, int | None]]:
    """The wanted frames of all groups, encoded, by their times; and the last time that each group was decoded to."""
    found: dict[int, EncodedFrame] = {}
    reached: dict[int, int | None] = {}
    try:
        with source.open_video() as (container, video):
            for keyframe, group in groups.items():
                try:
                    source.seek(container, video, keyframe)
                except av.error.FFmpegError:
                    reached[keyframe] = None
                    continue
                reached[keyframe] = _decode_group(source, source.decoded(container, video, group), group, found)
    except FrameBeforeMissingError:
        return _decode_each(source, groups)  # which leaves out no frame any more
    return found, reached


def _decode_group(
    source: VideoSource, decoded: Iterator[DecodedFrame], wanted: list[int], found: dict[int, EncodedFrame]
) -> int | None:
    """Adds the frames with the wanted times to `found`; stops early when times run backwards or past the last one.

    Returns the time of the last frame that came, None without one.
    """
    last: int | None = None
    for frame in decoded:
        if frame.pts is None or (last is not None and frame.pts <= last):
            break
        last = int(frame.pts)
        if last in wanted:
            found[last] = source.encode(frame)
        if last >= wanted[-1]:
            break
    return last


def _lost_spans(
    timeline: Timeline, groups: dict[int, list[int]], found: dict[int, EncodedFrame], reached: dict[int, int | None]
) -> list[tuple[int, int]]:
    """What cannot be decoded: the rest of each group that broke off, and all between two that gave nothing."""
    spans: list[tuple[int, int]] = []
    adjoining = False
    for keyframe, group in groups.items():
        broken = any(pts not in found for pts in group)
        if broken:
            last = reached[keyframe]
            start = keyframe if last is None or last < keyframe or last >= group[-1] else last + 1
            if adjoining and not any(pts in found for pts in group):
                start = spans.pop()[0]
            spans.append((start, timeline.next_keyframe(keyframe)))
        adjoining = broken
    return spans


def _decode_in_order(source: VideoSource, timeline: Timeline, sampling: Sampling) -> list[Frame]:
    """Decodes from the start, and once more when some packets turn out to give no frame: those move the others."""
    pictures, decoded = _pick(source, spread_within(timeline.pts, timeline.tick_s, sampling))
    times = _display_times(timeline, decoded, source.frame_ticks)
    wanted = spread_within(times, timeline.tick_s, sampling)
    if any(i not in pictures for i in wanted):
        pictures.clear()  # never the frames of two passes in memory
        pictures, _ = _pick(source, wanted)
    kept = [i for i in wanted if i in pictures]
    return [_frame(n, int(times[i] - times[0]) * timeline.tick_s, pictures[i]) for n, i in enumerate(kept)]


def _pick(source: VideoSource, wanted: Collection[int]) -> tuple[dict[int, EncodedFrame], Times]:
    """Encodes the frames with the wanted numbers, in display order from 0, and lists the time of every frame."""
    numbers = set(wanted)
    pictures: dict[int, EncodedFrame] = {}
    times = array("q")
    with source.open_video() as (container, video):
        for number, frame in enumerate(source.decoded(container, video)):
            times.append(_UNKNOWN if frame.pts is None else frame.pts)
            if number in numbers:
                pictures[number] = source.encode(frame)
    return pictures, np.array(times, np.int64)


def _display_times(timeline: Timeline, decoded: Times, frame_ticks: float) -> Times:
    """The frames' own times if they ascend; otherwise the packets' times in order, which is all that is known.

    Where not even these tell the frames apart, as when all are 0, frames follow each other at the stream's frame rate.
    """
    if timeline.reliable and bool(np.all(decoded[:-1] < decoded[1:])) and _UNKNOWN not in decoded[:1]:
        return decoded
    if len(timeline.pts) >= len(decoded):
        return timeline.pts[: len(decoded)]
    return (np.arange(len(decoded)) * max(frame_ticks, 1.0)).astype(np.int64)
