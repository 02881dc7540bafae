"""Frames of a media file as encoded images, ready to be sent: an image as it is, a video's spread evenly over it."""

from collections.abc import Callable
from typing import BinaryIO

from deepfake_client.errors import MediaTooLargeError
from deepfake_client.media import Frame, MediaFormat, MediaType
from deepfake_client.scorer import Deadline
from deepfake_client.scores import MAX_SCORED_FRAMES
from deepfake_client.video.sample import sample_video


def read_frames(
    stream: BinaryIO,
    format_: MediaFormat,
    name: str,
    count: int = MAX_SCORED_FRAMES,
    deadline: Deadline | None = None,
    max_bytes: int | None = None,
    *,
    keyframes_may_stand_in: bool = True,
    decode_video: Callable[..., list[Frame]] = sample_video,
) -> list[Frame]:
    """The frames of a media file that are scored: an image itself, or frames of a video spread evenly over it.

    Args:
        stream: Seekable, opened in binary mode.
        format_: Its format.
        name: What to call the file in messages.
        count: Number of frames of a video, fewer if it has fewer.
        deadline: Bounds the decoding of a video; None for no bound.
        max_bytes: Bounds the encoded frames together; None for no bound.
        keyframes_may_stand_in: See `sample_video`.
        decode_video: `sample_video`, or something of the same arguments and results.

    Raises:
        MediaDecodeError: No frame of the video can be decoded.
        MediaTooLargeError: The frames hold more than `max_bytes`.
        DeadlineExceededError: The deadline passed.
    """
    if format_.media_type is MediaType.IMAGE:
        encoded = stream.read() if max_bytes is None else stream.read(max_bytes + 1)
        if max_bytes is not None and len(encoded) > max_bytes:
            raise MediaTooLargeError(f"{name}: the image holds over {max_bytes} bytes, the limit; send a smaller one")
        return [Frame(0, 0.0, encoded)]
    return decode_video(
        stream, format_, name, count, deadline, max_bytes, keyframes_may_stand_in=keyframes_may_stand_in
    )
