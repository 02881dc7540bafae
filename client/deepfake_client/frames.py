"""Frames of a media file as encoded images, ready to be sent: an image as it is, a video's spread evenly over it."""

from deepfake_client.errors import MediaTooLargeError
from deepfake_client.media import Frame, Media, MediaType
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling, VideoDecoder


def read_frames(
    media: Media, sampling: Sampling = DEFAULT_SAMPLING, decode_video: VideoDecoder = sample_video
) -> list[Frame]:
    """The frames of a media file that are scored: an image itself, or frames of a video spread evenly over it.

    Raises:
        MediaDecodeError: No frame of the video can be decoded.
        MediaTooLargeError: The frames hold more than `sampling.max_bytes`.
        DeadlineExceededError: The deadline passed.
    """
    if media.format.media_type is MediaType.VIDEO:
        return decode_video(media, sampling)
    limit = sampling.max_bytes
    encoded = media.stream.read(-1 if limit is None else limit + 1)
    if limit is not None and len(encoded) > limit:
        raise MediaTooLargeError(f"{media.name}: the image holds over {limit} bytes, the limit; send a smaller one")
    return [Frame(0, 0.0, encoded)]
