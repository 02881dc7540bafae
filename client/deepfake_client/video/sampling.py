"""Which frames of a video are wanted: what is asked of a decoder, and how the frames are spread over the video's time.

Without a seed they are spread evenly, so whoever makes a video knows which frames are scored. With one, the duration is
divided into equal parts, and the seed decides on a place in each. Where exact places take long, key frames stand in.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepfake_client.media import Frame, Media
from deepfake_client.scorer import Deadline
from deepfake_client.scores import MAX_SCORED_FRAMES, sample_indices

LONG_VIDEO_S = 120.0
"""In videos longer than this, key frames may stand in."""

LARGE_FRAME_PX = 1920 * 1088
"""They may too where frames have more pixels than this: 1080p, with the lines that codecs add."""

MUCH_VIDEO_PX = 2 * 3600 * LARGE_FRAME_PX
"""And where all frames together have more pixels than this: two minutes of 1080p, 60 frames a second."""

KEYFRAME_TOLERANCE = 0.25
"""How far a key frame may lie from the even place that it is taken for, as a share of the sample interval."""

Places = NDArray[np.float64]
"""Times between ticks."""

Times = NDArray[np.int64]
"""Presentation times in ticks of a stream's time base, ascending: 8 bytes a frame, whatever the length."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a media file are wanted, and within which bounds.

    Attributes:
        count: Number of frames of a video, fewer if it has fewer.
        max_bytes: Bounds the encoded frames together; None for no bound.
        keyframes_may_stand_in: Whether in a costly video (`Timeline.is_costly`) key frames near the places are taken
            for the frames there. False takes the exact places there too, which takes several times as long.
        seed: Decides on the places. Only who has it can tell them, and the same one gives the same places. Empty: the
            places are even, first and last frame included.
        deadline: Bounds the decoding; None for no bound.
        within_s: Only frames after the first of these times and before the second, in seconds from the video's first
            frame, are wanted; None for all of it. What is costly is decided by the whole video.
    """

    count: int = MAX_SCORED_FRAMES
    max_bytes: int | None = None
    keyframes_may_stand_in: bool = True
    seed: bytes = b""
    deadline: Deadline | None = None
    within_s: tuple[float, float] | None = None


DEFAULT_SAMPLING = Sampling()
"""The frames that are scored, without bounds."""


class VideoDecoder(Protocol):
    """Decodes videos: `sample_video`, or `IsolatedDecoder.sample_video`."""

    def __call__(self, media: Media, sampling: Sampling) -> list[Frame]:
        """Frames spread over a video's decodable duration, or over `sampling.within_s`, in order.

        Raises:
            MediaDecodeError: No frame can be decoded.
            MediaTooLargeError: The encoded frames hold more than `sampling.max_bytes`.
            DeadlineExceededError: The deadline passed.
        """


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown, as its packets say.

    Attributes:
        pts: int64 (frames,), of all packets, without repeats.
        keyframes_pts: int64 (key frames,), of those packets that can be decoded without others; also of packets that an
            edit list hides and `pts` therefore lacks.
        tick_s: One tick in seconds.
        reliable: False where the container knows only the decoding order, so that a packet's time is not its frame's.
        frame_px: Width x height of a frame.
        end: When the last frame is no longer shown.
    """

    pts: Times
    keyframes_pts: Times
    tick_s: float
    reliable: bool
    frame_px: int = 0
    end: int = 0

    @property
    def is_costly(self) -> bool:
        """Whether to decode exact places may take too long.

        It depends on the file alone, not on the machine or its load: the same file gives the same frames everywhere.
        """
        large = self.frame_px > LARGE_FRAME_PX or self.frame_px * len(self.pts) > MUCH_VIDEO_PX
        return len(self.pts) > 0 and (large or self.duration_s > LONG_VIDEO_S)

    @property
    def duration_s(self) -> float:
        """From the first frame to the last one; 0.0 without any."""
        return float(self.pts[-1] - self.pts[0]) * self.tick_s if len(self.pts) else 0.0

    def decodable_s(self, frames: Sequence[Frame], count: int) -> float:
        """Seconds from the first frame to the end of the last one that can be decoded.

        Args:
            frames: The decoded ones of those that were wanted from the whole video.
            count: How many were wanted.
        """
        last_s = frames[-1].timestamp_s
        if not len(self.pts) or last_s + self.duration_s / min(count, len(self.pts)) < self.duration_s:
            return last_s
        return float(self.end - self.pts[0]) * self.tick_s

    def keyframe_before(self, pts: int) -> int | None:
        """The time of the last key frame at or before a time; None before the first one."""
        right = int(np.searchsorted(self.keyframes_pts, pts, "right"))
        return int(self.keyframes_pts[right - 1]) if right else None

    def next_keyframe(self, pts: int) -> int:
        """The time of the first key frame after a time; after the last one, a time later than all."""
        following = int(np.searchsorted(self.keyframes_pts, pts, "right"))
        return int(self.keyframes_pts[following]) if following < len(self.keyframes_pts) else np.iinfo(np.int64).max

    def without(self, spans: Sequence[tuple[int, int]]) -> "Timeline":
        """The timeline without the frames in these spans of time, each from its start up to before its end."""
        pts, keyframes_pts = self.pts, self.keyframes_pts
        for start, end in spans:
            pts = pts[(pts < start) | (pts >= end)]
            keyframes_pts = keyframes_pts[(keyframes_pts < start) | (keyframes_pts >= end)]
        return replace(self, pts=pts, keyframes_pts=keyframes_pts)


def chosen_frames(timeline: Timeline, sampling: Sampling) -> list[int]:
    """Indices of the times that are wanted, ascending: those of `spread`, or with key frames in a costly video."""
    if sampling.keyframes_may_stand_in and timeline.is_costly:
        part = _part(timeline.pts, timeline.tick_s, sampling)
        return [part.start + i for i in _spread_on_keyframes(replace(timeline, pts=timeline.pts[part]), sampling)]
    return spread_within(timeline.pts, timeline.tick_s, sampling)


def spread_within(times: Times, tick_s: float, sampling: Sampling) -> list[int]:
    """As `spread`, of those of the times that lie within `sampling.within_s`."""
    part = _part(times, tick_s, sampling)
    return [part.start + i for i in spread(times[part], sampling)]


def _part(times: Times, tick_s: float, sampling: Sampling) -> slice:
    if sampling.within_s is None or not len(times):
        return slice(0, len(times))
    start, end = (float(times[0]) + seconds / (tick_s or 1.0) for seconds in sampling.within_s)
    return slice(int(np.searchsorted(times, start, "right")), int(np.searchsorted(times, end)))


def spread(times: Times, sampling: Sampling) -> list[int]:
    """Indices of up to `sampling.count` of the ascending times.

    Without a seed, those nearest to evenly spread places, first and last included. With one, the frames that are shown
    at a place within each of as many equal parts of the duration.
    """
    count, seed = sampling.count, sampling.seed
    if len(times) <= count:
        return list(range(len(times)))
    if seed:
        chosen = _shown_at(times, _parts(times, count, seed)[1])
    else:
        chosen = [_nearest(times, place) for place in _even_places(times, count)]
    return _filled(chosen, len(times), count, seed)


def _spread_on_keyframes(timeline: Timeline, sampling: Sampling) -> list[int]:
    times, count, seed = timeline.pts, sampling.count, sampling.seed
    keyframes = np.intersect1d(timeline.keyframes_pts, times, assume_unique=True)
    if len(times) <= count or count < 3 or not len(keyframes):
        return spread(times, sampling)
    if seed:
        chosen = _quick_in_half_of_the_parts(times, keyframes, count, seed)
    elif timeline.duration_s > LONG_VIDEO_S:
        chosen = _keyframes_near_even_places(times, keyframes, count)
    else:
        half = float(times[-1] - times[0]) / (count - 1) / 2
        places = _even_places(times, count)[1:-1]
        quick = [_quick_to_decode(times, keyframes, place - half, place + half, place) for place in places]
        chosen = [0, *quick, len(times) - 1]
    return _filled(chosen, len(times), count, seed)


def _keyframes_near_even_places(times: Times, keyframes: Times, count: int) -> list[int]:
    """Each frame lies within the tolerance of its place, or is the one nearest to it.

    So neighbours are half an interval to one and a half apart. First and last frame stay.
    """
    tolerance = KEYFRAME_TOLERANCE * float(times[-1] - times[0]) / (count - 1)
    chosen = [0, len(times) - 1]
    for place in _even_places(times, count)[1:-1]:
        keyframe = keyframes[_nearest(keyframes, place)]
        close = abs(float(keyframe) - place) <= tolerance
        chosen.append(int(np.searchsorted(times, keyframe)) if close else _nearest(times, place))
    return chosen


def _quick_in_half_of_the_parts(times: Times, keyframes: Times, count: int, seed: bytes) -> list[int]:
    """The seed decides in which half another frame of the same part may stand in, and on the places in the others.

    So a video whose key frames alone are real is not taken for real.
    """
    edges, places = _parts(times, count, seed)
    chosen = _shown_at(times, places)
    for part in np.argsort(_fractions(seed, "quick parts", count))[: count // 2]:
        chosen[part] = _quick_to_decode(times, keyframes, edges[part], edges[part + 1], places[part])
    return chosen


def _quick_to_decode(times: Times, keyframes: Times, start: float, end: float, place: float) -> int:
    """Of the frames from `start` to before `end` the key frame nearest to the place; without one the first frame.

    That is the one with the fewest to be decoded since the key frame before. Without any, the frame shown at the place.
    """
    within = keyframes[(keyframes >= start) & (keyframes < end)]
    if len(within):
        return int(np.searchsorted(times, within[_nearest(within, place)]))
    first = int(np.searchsorted(times, start))
    return first if first < len(times) and times[first] < end else int(np.searchsorted(times, place, "right")) - 1


def _even_places(times: Times, count: int) -> list[float]:
    return [float(place) for place in np.linspace(times[0], times[-1], count)]


def secret_places(start: float, end: float, count: int, seed: bytes) -> tuple[Places, Places]:
    """The count + 1 edges of equal parts of a time, and a place within each part that the seed decides on."""
    edges = np.linspace(start, end, count + 1)
    return edges, edges[:-1] + _fractions(seed, "places", count) * np.diff(edges)


def _parts(times: Times, count: int, seed: bytes) -> tuple[Places, Places]:
    """As `secret_places`, of the time in which frames are shown: the last one for as long as the mean of the others."""
    shown = float(times[-1] - times[0]) * len(times) / (len(times) - 1)
    return secret_places(times[0], times[0] + shown, count, seed)


def _shown_at(times: Times, places: Places) -> list[int]:
    return [int(index) for index in np.searchsorted(times, places, "right") - 1]


def _fractions(seed: bytes, purpose: str, count: int) -> Places:
    """float64 (count,), 0 to 1: the first 32 bits of an HMAC for each."""
    digests = [hmac.digest(seed, f"{purpose} {number}".encode(), "sha256") for number in range(count)]
    return np.array([int.from_bytes(digest[:4], "big") / 2**32 for digest in digests])


def _filled(chosen: Sequence[int], available: int, count: int, seed: bytes) -> list[int]:
    """Where frames lie far apart in time several places share one frame: the rest is taken evenly by number."""
    distinct = set(chosen)
    if missing := count - len(distinct):
        others = np.setdiff1d(np.arange(available), sorted(distinct), assume_unique=True)
        if seed:
            starts = np.arange(missing + 1) * len(others) // missing
            taken = starts[:-1] + (_fractions(seed, "rest", missing) * np.diff(starts)).astype(int)
        else:
            taken = np.array(sample_indices(len(others), missing))
        distinct.update(int(number) for number in others[taken])
    return sorted(distinct)


def _nearest(ascending: Times, value: float) -> int:
    right = int(np.searchsorted(ascending, value))
    candidates = [i for i in (right - 1, right) if 0 <= i < len(ascending)]
    return min(candidates, key=lambda i: abs(float(ascending[i]) - value))
