"""A transport stream of H.264 whose frames are coded as two fields each, as broadcasts do and no encoder here does.

Every macroblock holds its samples as they are.
"""

import io
import re
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

_IDR, _SLICE, _SEQUENCE, _PICTURE, _DELIMITER = 0x65, 0x61, b"\x67", b"\x68", b"\0\0\0\1\x09\xf0"
_RAW_MACROBLOCK = 25  # mb_type I_PCM


class _Bits:
    def __init__(self) -> None:
        self._bits: list[int] = []

    def fixed(self, *fields: tuple[int, int]) -> "_Bits":
        """Values, each with its number of bits."""
        for value, count in fields:
            self._bits += [value >> place & 1 for place in range(count - 1, -1, -1)]
        return self

    def golomb(self, *values: int) -> "_Bits":
        """Values in unsigned Exp-Golomb code."""
        for value in values:
            length = (value + 1).bit_length()
            self.fixed((0, length - 1), (value + 1, length))
        return self

    def samples(self, values: NDArray[np.uint8]) -> None:
        self._bits += [0] * (-len(self._bits) % 8)
        self._bits += np.unpackbits(values.clip(4)).tolist()  # so that nothing looks like a start code

    def unit(self, header: bytes) -> bytes:
        """As a NAL unit."""
        body = bytes(np.packbits([*self._bits, 1]))
        return b"\0\0\0\1" + header + re.sub(b"\0\0([\0-\3])", b"\0\0\3\\1", body)


def field_coded(frames: Sequence[NDArray[np.uint8]], group: int = 12) -> bytes:
    """An MPEG transport stream, 25 frames a second.

    Args:
        frames: (H, W, 3) uint8 RGB; H a multiple of 32, W of 16.
        group: Frames from one IDR picture to the next; at most 16.
    """
    height, width = frames[0].shape[:2]
    sequence = _Bits().fixed((77, 8), (0, 8), (30, 8)).golomb(0, 0, 0, 4, 1).fixed((0, 1))
    sequence.golomb(width // 16 - 1, height // 32 - 1).fixed((0, 1), (0, 1), (1, 1), (0, 1), (0, 1))
    picture = _Bits().golomb(0, 0).fixed((0, 1), (0, 1)).golomb(0, 0, 0).fixed((0, 1), (0, 2)).golomb(0, 0, 0)
    headers = sequence.unit(_SEQUENCE) + picture.fixed((0, 1), (0, 1), (0, 1)).unit(_PICTURE)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        output.start_encoding()
        for number, pixels in enumerate(frames):
            for bottom in (0, 1):
                coded = _field(pixels, number, bottom, group)
                packet = av.Packet(_DELIMITER + (b"" if number % group or bottom else headers) + coded)
                packet.stream, packet.time_base = stream, Fraction(1, 50)
                packet.pts = packet.dts = 2 * number + bottom
                output.mux(packet)
    return buffer.getvalue()


def _field(pixels: NDArray[np.uint8], number: int, bottom: int, group: int) -> bytes:
    height, width = pixels.shape[:2]
    planes = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p").to_ndarray()
    luma = planes[:height][bottom::2]
    blue, red = (
        planes[height * (4 + i) // 4 : height * (5 + i) // 4].reshape(height // 2, width // 2)[bottom::2]
        for i in (0, 1)
    )
    in_group = number % group
    is_idr = in_group == 0 and not bottom
    bits = _Bits().golomb(0, 7, 0).fixed((in_group, 4), (1, 1), (bottom, 1))
    if is_idr:
        bits.golomb(number // group % 2)
    bits.fixed((2 * in_group + bottom, 8), (0, 2 if is_idr else 1)).golomb(0)
    for top in range(0, height // 2, 16):
        for left in range(0, width, 16):
            bits.golomb(_RAW_MACROBLOCK)
            bits.samples(luma[top : top + 16, left : left + 16].ravel())
            for plane in (blue, red):
                bits.samples(plane[top // 2 : top // 2 + 8, left // 2 : left // 2 + 8].ravel())
    return bits.unit(bytes([_IDR if is_idr else _SLICE]))
