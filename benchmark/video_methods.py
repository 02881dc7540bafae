"""Ways to get 30 frames spread over a video, as people write them: ours, and six that it is measured against."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from deepfake_client.scores import MAX_SCORED_FRAMES, sample_indices
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""RGB, (height, width, 3)."""


@dataclass(frozen=True)
class Picked:
    """One frame that a method arrived at.

    Attributes:
        timestamp_s: When the method says that it is shown, from the first frame on.
        to_rgb: Converts it; not counted as decoding.
    """

    timestamp_s: float
    to_rgb: Callable[[], Pixels]


Method = Callable[[Path], Iterator[Picked]]


def cv2_seek(path: Path) -> Iterator[Picked]:
    """Naive: for each frame sets CAP_PROP_POS_FRAMES, then reads."""
    with _capture(path) as capture:
        for index in sample_indices(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))):
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            if capture.grab():
                yield _cv2_picked(capture)


def cv2_grab(path: Path) -> Iterator[Picked]:
    """Goes through the video with grab(), converts the wanted frames only."""
    with _capture(path) as capture:
        wanted = set(sample_indices(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))
        index = 0
        while capture.grab():
            if index in wanted:
                yield _cv2_picked(capture)
            index += 1


def pyav_seek(path: Path) -> Iterator[Picked]:
    """Naive and exact: for each frame seeks to the key frame before its time, then decodes up to it."""
    with av.open(str(path)) as container:
        video = _video(container)
        start = video.start_time or 0
        for place in _even_times(container, video):
            container.seek(place, stream=video, backward=True)
            frame = next((f for f in container.decode(video) if f.pts is not None and f.pts >= place), None)
            if frame is not None:
                yield _av_picked(frame, start, video)


def pyav_full(path: Path) -> Iterator[Picked]:
    """Decodes everything once, converts the wanted frames only."""
    with av.open(str(path)) as container:
        video = _video(container)
        start = video.start_time or 0
        places = iter(_even_times(container, video))
        place = next(places, None)
        for frame in container.decode(video):
            if place is not None and frame.pts is not None and frame.pts >= place:
                yield _av_picked(frame, start, video)
                place = next(places, None)


def pyav_keyframes(path: Path) -> Iterator[Picked]:
    """Seeks to the key frame before each time and takes that, again where two times share one."""
    with av.open(str(path)) as container:
        video = _video(container)
        video.codec_context.skip_frame = "NONKEY"
        start = video.start_time or 0
        for place in _even_times(container, video):
            container.seek(place, stream=video, backward=True)
            frame = next(container.decode(video), None)
            if frame is not None:
                yield _av_picked(frame, start, video)


METHODS: dict[str, Method] = {
    "cv2_seek": cv2_seek,
    "pyav_seek": pyav_seek,
    "pyav_keyframes": pyav_keyframes,
    "cv2_grab": cv2_grab,
    "pyav_full": pyav_full,
}


@contextlib.contextmanager
def _capture(path: Path) -> "Iterator[cv2.VideoCapture]":
    capture = cv2.VideoCapture(str(path))
    try:
        yield capture
    finally:
        capture.release()


def _cv2_picked(capture: "cv2.VideoCapture") -> Picked:
    def to_rgb() -> Pixels:
        return np.ascontiguousarray(capture.retrieve()[1][:, :, ::-1], np.uint8)

    return Picked(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, to_rgb)


def _video(container: "av.container.InputContainer") -> "av.VideoStream":
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    return video


def _even_times(container: "av.container.InputContainer", video: "av.VideoStream") -> list[int]:
    """As the header declares the duration; the last place is that of the last frame at the declared rate."""
    start = video.start_time or 0
    duration_s = float(video.duration * video.time_base) if video.duration else container.duration / av.time_base
    last_s = duration_s - 1 / float(video.average_rate)
    return [start + int(at / video.time_base) for at in np.linspace(0, last_s, MAX_SCORED_FRAMES)]


def _av_picked(frame: "av.VideoFrame", start: int, video: "av.VideoStream") -> Picked:
    return Picked(float((frame.pts - start) * video.time_base), lambda: frame.to_ndarray(format="rgb24"))
