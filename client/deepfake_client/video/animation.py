"""Animated pictures, APNG, WebP, GIF and AVIF, as videos: what a viewer sees at moments spread over their duration.

Pillow decodes them. A picture that is shown for long stands at several moments, as it would in a video.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from deepfake_client.analysis.scenes import sketch
from deepfake_client.errors import MediaDecodeError, MediaTooLargeError
from deepfake_client.formats.pictures import png_chunks
from deepfake_client.media import Frame, Media
from deepfake_client.pictures import MAX_PIXELS, decode_upright, open_picture
from deepfake_client.video.picture import encode_picture
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling, secret_places, spread_within
from deepfake_client.video.source import FrameStore, VideoSource

_MOMENTS = 1000
"""Moments that may be chosen without a seed, evenly over the duration."""

_SHORTEST_MS, _SHOWN_INSTEAD_MS = 10, 100
"""Browsers show a picture that is to be shown for 10 ms or less for 100 ms."""


def sample_animation(
    media: Media, sampling: Sampling = DEFAULT_SAMPLING, store: FrameStore | None = None
) -> list[Frame]:
    """The pictures at up to `sampling.count` moments, upright, on white where they are transparent.

    Where there is only one picture, it is the only frame. The default picture of an APNG, which programs show that know
    no animations, is left out unless it is a part of the animation.

    Args:
        media: An animated picture.
        sampling: Number and bounds of the moments.
        store: Takes the frames; `Frame.encoded` then is what it returns for each.

    Raises:
        MediaDecodeError: It is damaged.
        MediaTooLargeError: It has too many pixels, or the frames hold more than `max_bytes` together.
        DeadlineExceededError: The deadline passed.
    """
    announced = sum(name == b"fcTL" for name in png_chunks(media.stream)) if media.format.name == "png" else None
    media.stream.seek(0)
    try:
        with open_picture(media.stream, MAX_PIXELS) as image:
            if announced not in (None, _count(image)):
                raise MediaDecodeError("the animation does not have the pictures that it announces")
            starts_ms, total_ms = _starts_ms(image, sampling)
            chosen_us = _moments_us(total_ms * 1000, sampling) if len(starts_ms) > 1 else [0]
            shown = [int(np.searchsorted(starts_ms, time_us / 1000, "right")) - 1 for time_us in chosen_us]
            pictures = {
                number: (encode_picture(pixels := np.asarray(decode_upright(picture))), sketch(pixels))
                for number, picture in enumerate(_pictures(image, sampling))
                if number in shown
            }
    except (MediaDecodeError, MediaTooLargeError) as error:
        raise type(error)(f"{media.name}: {error}") from error
    source = VideoSource(media, sampling, store)
    return [
        Frame(index, time_us / 1e6, source.keep(pictures[number][0], image.size), sketch=pictures[number][1])
        for index, (time_us, number) in enumerate(zip(chosen_us, shown, strict=True))
    ]


def _moments_us(total_us: int, sampling: Sampling) -> list[int]:
    if sampling.seed:
        start, end = (seconds * 1e6 for seconds in sampling.within_s or (0.0, total_us / 1e6))
        return [int(place) for place in secret_places(start, end, sampling.count, sampling.seed)[1]]
    times_us = np.arange(_MOMENTS, dtype=np.int64) * total_us // _MOMENTS
    return [int(times_us[i]) for i in spread_within(times_us, 1e-6, sampling)]


def _starts_ms(image: Image.Image, sampling: Sampling) -> tuple[list[int], int]:
    """When each picture begins to be shown, and when the last one ends, in milliseconds."""
    starts_ms, time_ms = [], 0
    for picture in _pictures(image, sampling):
        starts_ms.append(time_ms)
        duration_ms = int(picture.info.get("duration", 0))
        time_ms += duration_ms if duration_ms > _SHORTEST_MS else _SHOWN_INSTEAD_MS
    return starts_ms, time_ms


def _pictures(image: Image.Image, sampling: Sampling) -> Iterator[Image.Image]:
    """The same object for each picture, decoded."""
    image.seek(0)
    first = getattr(image, "n_frames", 1) - _count(image)
    if first:
        image.load()
        image.paste(_NOTHING.get(image.mode, 0), (0, 0, *image.size))  # what the animation does not cover shows nothing
    for number in range(first, first + _count(image)):
        if sampling.deadline is not None:
            sampling.deadline.remaining_s()
        image.seek(number)
        image.load()
        yield image


_NOTHING: dict[str, int | tuple[int, ...]] = {
    "L": 255,
    "LA": (255, 0),
    "RGB": (255, 255, 255),
    "RGBA": (255, 255, 255, 0),
}
"""By mode: transparent, or white."""


def _count(image: Image.Image) -> int:
    """Pictures of the animation."""
    return int(getattr(image, "n_frames", 1)) - bool(getattr(image, "default_image", False))
