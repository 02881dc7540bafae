"""Which of a file's video tracks is sampled: the one that players show."""

import av

from deepfake_client.errors import MediaDecodeError, UnsupportedMediaError
from deepfake_client.media import VideoTrack


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
