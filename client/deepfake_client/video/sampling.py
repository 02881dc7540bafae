"""What is asked of a video decoder, in this process or in one of its own."""

from dataclasses import dataclass
from typing import Protocol

from deepfake_client.media import Frame, Media
from deepfake_client.scorer import Deadline
from deepfake_client.scores import MAX_SCORED_FRAMES


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
