"""Which of a file's video tracks is sampled, the one that players show, and what the file says of itself."""

import math
import re
from collections.abc import Iterator

import av

from deepfake_client.errors import MediaDecodeError, UnsupportedMediaError
from deepfake_client.media import ContainerTag, VideoTrack


def shown_track(container: "av.container.InputContainer") -> "tuple[av.VideoStream, VideoTrack | None]":
    """The stream that is on by default, of several the one with most pixels; and its number where there are several.

    In MP4 and MOV a track that is enabled is on by default, in Matroska one with FlagDefault. Cover pictures do not
    count.

    Raises:
        UnsupportedMediaError: There is no video stream.
        MediaDecodeError: There is none whose codec is known.
    """
    disposition = av.stream.Disposition
    streams = [stream for stream in container.streams.video if not stream.disposition & disposition.attached_pic]
    if not streams:
        raise UnsupportedMediaError("has no video track")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise MediaDecodeError("its video codec is not known")
    shown = max(known, key=lambda s: (bool(s.disposition & disposition.default), s.width * s.height))
    return shown, VideoTrack(streams.index(shown) + 1, len(streams)) if len(streams) > 1 else None


_SAYS_NO_LENGTH = frozenset({"mpegts", "mpeg", "ogg"})
"""Of these FFmpeg measures it, by the last times in the file."""


def said_length_s(container: "av.container.InputContainer", video: "av.VideoStream") -> float | None:
    """Seconds that a file's header says a video track lasts, or where it does not tell tracks apart, the file."""
    if container.format.name in _SAYS_NO_LENGTH:
        return None
    length_s = container.duration / 1e6 if container.duration else 0.0
    if container.format.name == "avi":  # FFmpeg changes the duration of a file that is cut
        length_s = float(video.frames / (video.average_rate or 1))
    elif video.duration:
        length_s = float(video.duration * (video.time_base or 0))
    elif found := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", video.metadata.get("DURATION", "")):  # of Matroska
        hours, minutes, seconds = map(float, found.groups())
        length_s = 3600 * hours + 60 * minutes + seconds
    return length_s if 0 < length_s < math.inf else None


_READ_TAGS = frozenset({
    "major_brand", "encoder", "handler_name", "creation_time", "creationdate", "make", "model", "software",
    "manufacturer", "version", "comment", "prompt", "workflow", "parameters",
})  # fmt: skip
"""Names without the maker's prefix, such as com.apple.quicktime."""

_TAG_CHARACTERS = 4096


def container_tags(container: "av.container.InputContainer", video: "av.VideoStream") -> Iterator[ContainerTag]:
    """What recorded, made and changed the file, as it says; that it names a place, but not the place."""
    for source, tags in (("container", container.metadata), ("video track", video.metadata)):
        for full_name, text in tags.items():
            name = full_name.lower().rpartition(".")[2]
            if "location" in full_name.lower():
                yield ContainerTag(source, "location", "")
            elif name in _READ_TAGS:
                yield ContainerTag(source, name, text[:_TAG_CHARACTERS])
