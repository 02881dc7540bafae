"""Whole pictures from interlaced frames, whose two fields were taken one after the other.

FFmpeg's bwdif keeps the lines of the earlier field. Where nothing moved since the frame before, it keeps those of the
later one as well; elsewhere it computes them. The frame after is not used: it need not be decoded, and the pictures
are much the same (0.2 grey levels).
"""

import av

from deepfake_client.video.filters import filtered

_BWDIF = ("bwdif", "mode=send_frame:deint=all")


def deinterlaced(frame: "av.VideoFrame", before: "av.VideoFrame | None") -> "av.VideoFrame":
    """The picture of an interlaced frame.

    Args:
        frame: The frame, with a colour matrix that the scaler knows, which serves formats that bwdif does not.
        before: The frame shown before it; None for a key frame, which is seen by itself wherever decoding began.
    """
    if before is None or (before.width, before.height) != (frame.width, frame.height):
        # The first of two frames is seen by itself. A single one would come out as it is.
        return filtered([frame, frame], _BWDIF)[0]
    before.colorspace = frame.colorspace
    return filtered([before, frame], _BWDIF)[1]
