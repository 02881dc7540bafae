"""The colours of a frame as RGB for an ordinary screen: HDR tone-mapped, labels read as they are meant."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from deepfake_client.errors import MediaDecodeError
from deepfake_client.video.hdr import HDR_TRANSFERS, tone_mapped

# matrix_coefficients of ITU-T H.273.
_UNSPECIFIED, _YCGCO, _BT2020, _BT2020_CONSTANT, _ICTCP, _IPT_C2, _YCGCO_RE, _YCGCO_RO = 2, 8, 9, 10, 14, 15, 16, 17
_KNOWN_TO_THE_SCALER = frozenset({0, 1, _UNSPECIFIED, 4, 5, 6, 7, _BT2020})
_BY_PRIMARIES = frozenset({12, 13})
_OTHER_COLOUR_MODELS = {_YCGCO: "YCgCo", _YCGCO_RE: "YCgCo-R", _YCGCO_RO: "YCgCo-R", _ICTCP: "ICtCp", _IPT_C2: "IPT"}


class RgbConverter:
    """Converts the frames of one video. Not for several threads."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def rgb(self, frame: "av.VideoFrame", size_px: tuple[int, int]) -> NDArray[np.uint8]:
        """The frame as (H, W, 3) uint8 RGB.

        Args:
            frame: With its colour matrix as `meant_matrix` tells it.
            size_px: Width and height of the result.
        """
        # Without a new size the choice decides how colour is spread over pixels.
        scaling = Interpolation.BILINEAR if size_px == (frame.width, frame.height) else Interpolation.BICUBIC
        if frame.color_trc in HDR_TRANSFERS:
            signal = self._reformatter.reformat(frame, *size_px, "rgb48le", interpolation=scaling)
            return tone_mapped(np.asarray(signal.to_ndarray(), np.uint16), frame.color_trc, frame.color_primaries)
        ordinary = self._reformatter.reformat(frame, *size_px, "rgb24", interpolation=scaling)
        return np.asarray(ordinary.to_ndarray(), np.uint8)


def meant_matrix(frame: "av.VideoFrame") -> int:
    """The matrix_coefficients that are meant by those of a frame, of those that the scaler knows.

    Ordinary files have odd values in them, and true ones only where they make sense: YCgCo without subsampling, ICtCp
    and IPT in HDR.

    Raises:
        MediaDecodeError: The frame's colour model is not supported.
    """
    matrix, hdr = frame.colorspace, frame.color_trc in HDR_TRANSFERS
    if frame.format.is_rgb or len(frame.format.components) < 3:
        return matrix if matrix in _KNOWN_TO_THE_SCALER else _UNSPECIFIED  # the frame has no use for it
    if matrix in _OTHER_COLOUR_MODELS and (hdr if matrix in (_ICTCP, _IPT_C2) else not _is_subsampled(frame)):
        raise MediaDecodeError(
            f"its colours are stored as {_OTHER_COLOUR_MODELS[matrix]}, which is not supported; convert it to MP4 "
            "with H.264 and YCbCr colours"
        )
    if matrix in _BY_PRIMARIES:  # which have the same numbers
        matrix = frame.color_primaries or _UNSPECIFIED
    if matrix == _BT2020_CONSTANT or (hdr and matrix == _UNSPECIFIED):
        return _BT2020
    return matrix if matrix in _KNOWN_TO_THE_SCALER else _UNSPECIFIED


def _is_subsampled(frame: "av.VideoFrame") -> bool:
    width, height = frame.format.chroma_width(frame.width), frame.format.chroma_height(frame.height)
    return (width, height) != (frame.width, frame.height)
