"""Which frames of a video are wanted: what is asked of a decoder, and how the frames are spread over the video's time.

They are spread evenly, in long videos moved to key frames close by.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepfake_client.media import Frame, Media
from deepfake_client.scorer import Deadline
from deepfake_client.scores import MAX_SCORED_FRAMES, sample_indices

LONG_VIDEO_S = 120.0
"""Only in videos longer than this may a key frame stand for the frame at the even place."""

KEYFRAME_TOLERANCE = 0.25
"""How far a key frame may lie from the even place that it is taken for, as a share of the sample interval."""

Times = NDArray[np.int64]
"""Presentation times in ticks of a stream's time base, ascending: 8 bytes a frame, whatever the length."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a media file are wanted, and within which bounds.

    Attributes:
        count: Number of frames of a video, fewer if it has fewer.
        max_bytes: Bounds the encoded frames together; None for no bound.
        keyframes_may_stand_in: Whether in long videos a key frame near an even place is taken for the frame there.
            False spreads long videos exactly too, which takes several times as long.
        deadline: Bounds the decoding; None for no bound.
    """

    count: int = MAX_SCORED_FRAMES
    max_bytes: int | None = None
    keyframes_may_stand_in: bool = True
    deadline: Deadline | None = None


DEFAULT_SAMPLING = Sampling()
"""The frames that are scored, without bounds."""


class VideoDecoder(Protocol):
    """Decodes videos: `sample_video`, or `IsolatedDecoder.sample_video`."""

    def __call__(self, media: Media, sampling: Sampling) -> list[Frame]:
        """Frames spread evenly over a video's decodable duration, in order.

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
    """

    pts: Times
    keyframes_pts: Times
    tick_s: float
    reliable: bool

    @property
    def duration_s(self) -> float:
        """From the first frame to the last one; 0.0 without any."""
        return float(self.pts[-1] - self.pts[0]) * self.tick_s if len(self.pts) else 0.0

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


def spread(times: Times, count: int) -> list[int]:
    """Indices of up to `count` of the ascending times, spread evenly over the duration, first and last included."""
    if len(times) <= count:
        return list(range(len(times)))
    return _filled([_nearest(times, place) for place in _even_places(times, count)], len(times), count)


def spread_on_keyframes(timeline: Timeline, count: int) -> list[int]:
    """As `spread`, but in a long video a key frame within the tolerance is taken for the frame at its even place.

    First and last frame stay. Each other one lies within a quarter of the sample interval of its place, or is the
    frame nearest to it; so neighbours are half an interval to one and a half apart. Videos of up to `LONG_VIDEO_S`
    are spread exactly.
    """
    times, keyframes = timeline.pts, np.intersect1d(timeline.keyframes_pts, timeline.pts, assume_unique=True)
    if timeline.duration_s <= LONG_VIDEO_S or len(times) <= count or count < 3 or not len(keyframes):
        return spread(times, count)
    tolerance = KEYFRAME_TOLERANCE * float(times[-1] - times[0]) / (count - 1)
    chosen = [0, len(times) - 1]
    for place in _even_places(times, count)[1:-1]:
        keyframe = keyframes[_nearest(keyframes, place)]
        close = abs(float(keyframe) - place) <= tolerance
        chosen.append(int(np.searchsorted(times, keyframe)) if close else _nearest(times, place))
    return _filled(chosen, len(times), count)


def _even_places(times: Times, count: int) -> list[float]:
    return [float(place) for place in np.linspace(times[0], times[-1], count)]


def _filled(chosen: Sequence[int], available: int, count: int) -> list[int]:
    """Where frames lie far apart in time several places share one frame: the rest is taken evenly by number."""
    distinct = set(chosen)
    if len(distinct) < count:
        others = np.setdiff1d(np.arange(available), sorted(distinct), assume_unique=True)
        distinct.update(int(others[i]) for i in sample_indices(len(others), count - len(distinct)))
    return sorted(distinct)


def _nearest(ascending: Times, value: float) -> int:
    right = int(np.searchsorted(ascending, value))
    candidates = [i for i in (right - 1, right) if 0 <= i < len(ascending)]
    return min(candidates, key=lambda i: abs(float(ascending[i]) - value))
