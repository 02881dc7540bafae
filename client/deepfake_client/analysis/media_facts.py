"""What the findings need to know of a media file besides its scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepfake_client.errors import InputError
from deepfake_client.media import Frame, MediaType, VideoLength, VideoTrack
from deepfake_client.pictures import frame_size_px, is_transparent
from deepfake_client.provenance.model import Provenance


@dataclass(frozen=True)
class MediaFacts:
    """What is known of a media file besides its scores.

    Attributes:
        frame_size_px: Width and height of the frames as displayed; None if not known.
        is_transparent: Whether a background shows through the image.
        is_animation: Whether it is an animated picture.
        first_only: Whether further pictures of the image file were not looked at.
        duration_s: Seconds from a video's first to its last sampled frame; None for an image, and if not known.
        video_track: That was judged, in a file with several.
        times_s: Of the sampled frames, in seconds from the first; empty if not known.
        sketches: Of the sampled frames, see `Frame.sketch`; empty if not known: they count as one scene.
        video_length: As the file says, and as it is; None for an image, and where the file does not say it.
        provenance: What the file says of itself; None if that is nothing.
    """

    frame_size_px: tuple[int, int] | None = None
    is_transparent: bool = False
    is_animation: bool = False
    first_only: bool = False
    duration_s: float | None = None
    video_track: VideoTrack | None = None
    times_s: tuple[float, ...] = ()
    sketches: tuple[bytes, ...] = ()
    video_length: VideoLength | None = None
    provenance: Provenance | None = None


def places_of_frames(frames: Sequence[Frame]) -> MediaFacts:
    """When frames are shown, and what they look like."""
    return MediaFacts(
        times_s=tuple(frame.timestamp_s for frame in frames), sketches=tuple(frame.sketch for frame in frames)
    )


def facts_of_picture(encoded: bytes | None, media_type: MediaType, max_pixels: int) -> MediaFacts:
    """What one picture shows: its size from its header, and whether an image with transparency has any.

    Args:
        encoded: A frame that the service has scored; None if there is none.
        media_type: Of the file that it is of.
        max_pixels: See `open_picture`.
    """
    if encoded is None:
        return MediaFacts()
    try:
        size = frame_size_px(encoded, max_pixels)
        return MediaFacts(size, media_type is MediaType.IMAGE and is_transparent(encoded, max_pixels))
    except InputError:
        return MediaFacts()
