"""How a frame is turned and mirrored to stand upright, as the file asks by a display matrix."""

import struct
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from deepfake_client.video.filters import filtered

_MOST_TYPES = 64
"""More kinds of side data than FFmpeg has."""


def display_matrix(frame: "av.VideoFrame") -> bytes | None:
    """The frame's own display matrix; None without one. The frame then stands in a cycle with its side data."""
    try:
        side_data = frame.side_data
    except ValueError:  # PyAV reads none at all where it does not know the kind of one
        known: set[Any] = {kind.value for kind in Type}
        unknown = [kind for kind in range(_MOST_TYPES) if kind not in known]
        (without,) = filtered([frame], *(("sidedata", f"mode=delete:type={kind}") for kind in unknown))
        side_data = without.side_data
    return next((bytes(data) for data in side_data if data.type is Type.DISPLAYMATRIX), None)


def upright(pixels: NDArray[np.uint8], matrix: bytes | None) -> NDArray[np.uint8]:
    """A view of (H, W, 3) pixels, turned and mirrored.

    Args:
        pixels: As decoded.
        matrix: x' = a x + c y and y' = b x + d y, stored as a, b, u, c, d, v, ... (ISO 14496-12); None to leave them.
    """
    if matrix is None:
        return pixels
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, right_to_left, bottom_up = pixels.transpose(1, 0, 2), c < 0, b < 0
    else:
        right_to_left, bottom_up = a < 0, d < 0
    return pixels[:: -1 if bottom_up else 1, :: -1 if right_to_left else 1]
