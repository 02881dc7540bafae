"""Degradations of encoded frames: re-encoding as pictures or video, downscaling, blur and a tighter crop."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepfake_client.errors import MediaTooLargeError
from deepfake_client.pictures import MAX_PIXELS, decode_upright, open_picture
from evaluation.errors import DegradationError

FaceBox = tuple[float, float, float, float]


class Kind(StrEnum):
    """The degradations."""

    JPEG = "jpeg"
    H264 = "h264"
    HEVC = "hevc"
    DOWNSCALE = "downscale"
    BLUR = "blur"
    CROP = "crop"


_Accepts = Callable[[float], bool]

_RULES: dict[Kind, tuple[_Accepts, str, str]] = {
    Kind.JPEG: (
        lambda v: 1 <= v <= 100 and v == int(v),
        "a whole number from 1 to 100",
        "encoded again as JPEG of this quality, chroma subsampled 4:2:0",
    ),
    Kind.H264: (
        lambda v: 0 <= v <= 51 and v == int(v),
        "a whole number from 0 to 51",
        "coded as a key frame of H.264 (x264) at this constant rate factor; FaceForensics++ has 23 and 40",
    ),
    Kind.HEVC: (
        lambda v: 0 <= v <= 51 and v == int(v),
        "a whole number from 0 to 51",
        "coded as a key frame of HEVC (x265) at this constant rate factor",
    ),
    Kind.DOWNSCALE: (
        lambda v: 0 < v < 1,
        "more than 0 and less than 1",
        "both sides times this factor (Lanczos); it stays small, the service scales it to its input as any small image",
    ),
    Kind.BLUR: (
        lambda v: 0 < v <= 100,
        "more than 0 and at most 100",
        "Gaussian blur of this standard deviation in pixels of the frame (Pillow's three-box approximation)",
    ),
    Kind.CROP: (
        lambda v: 1 <= v <= 20,
        "from 1 to 20",
        "cut to a square of this many times the longer side of the face box found in the clean run; the service then "
        "finds the face anew in it and makes its own crop",
    ),
}
"""By kind: which values it accepts, the same in words, and what is done to a frame."""


@dataclass(frozen=True)
class Degradation:
    """One way to make every frame worse.

    Attributes:
        kind: Which.
        value: Its strength: JPEG quality, constant rate factor, factor of both sides, standard deviation in pixels, or
            side of the square in longer sides of the face box.
    """

    kind: Kind
    value: float

    @property
    def name(self) -> str:
        """As on the command line, such as "jpeg=75"."""
        return f"{self.kind}={self.value:g}"

    @property
    def meaning(self) -> str:
        """What is done to a frame, as a phrase."""
        return _RULES[self.kind][2]

    @property
    def needs_face(self) -> bool:
        """Whether it applies only to frames in which the clean run found a face."""
        return self.kind is Kind.CROP

    def apply(self, encoded: bytes, face_box_px: FaceBox | None) -> bytes:
        """The degraded frame: a JPEG for `jpeg`, else a PNG, so that nothing but the degradation changes the pixels.

        Args:
            encoded: The frame as it was sent in the clean run.
            face_box_px: x0, y0, x1, y1 after EXIF orientation; needed where `needs_face`.

        Raises:
            MediaDecodeError: The frame's pixels cannot be read.
            MediaTooLargeError: It has too many.
        """
        image = decode(encoded)
        if self.kind is Kind.JPEG:
            return encode_jpeg(image, int(self.value))
        if self.kind in _ENCODERS:
            return encode_lossless(Image.fromarray(coded_frame(np.asarray(image), self.kind, int(self.value))))
        if self.kind is Kind.DOWNSCALE:
            return encode_lossless(_downscaled(image, self.value))
        if self.kind is Kind.BLUR:
            return encode_lossless(image.filter(ImageFilter.GaussianBlur(self.value)))
        if face_box_px is None:
            raise DegradationError(f"{self.name} needs a face box")
        return encode_lossless(image.crop(crop_box(face_box_px, image.width, image.height, self.value)))


STANDARD_SET = (
    Degradation(Kind.JPEG, 75),
    Degradation(Kind.JPEG, 50),
    Degradation(Kind.H264, 40),
    Degradation(Kind.HEVC, 40),
    Degradation(Kind.DOWNSCALE, 0.5),
    Degradation(Kind.BLUR, 1.5),
    Degradation(Kind.CROP, 1.6),
)
"""What `--robustness` measures."""


def parse_degradation(text: str) -> Degradation:
    """Reads "kind=value".

    Raises:
        DegradationError: There is no such kind, or the value is out of its range.
    """
    kind_text, separator, value_text = text.partition("=")
    if not separator or kind_text not in list(Kind):
        raise DegradationError(f"{text!r} is no degradation: write {', '.join(f'{kind}=VALUE' for kind in Kind)}")
    kind = Kind(kind_text)
    accepts, allowed, _ = _RULES[kind]
    try:
        value = float(value_text)
    except ValueError:
        value = math.nan
    if not accepts(value):
        raise DegradationError(f"{text!r}: the value of {kind} is {allowed}")
    return Degradation(kind, value)


def crop_box(face_box_px: FaceBox, width_px: int, height_px: int, factor: float) -> tuple[int, int, int, int]:
    """The square that `crop` keeps: left, top, right, bottom in whole pixels.

    Its side is `factor` times the longer side of the face box, at most the image's shorter side; it is centred on the
    box and moved, not shrunk, to lie inside the image: the geometry of the service's own crop.
    """
    x0, y0, x1, y1 = face_box_px
    side = max(1, min(math.floor(factor * max(x1 - x0, y1 - y0) + 0.5), width_px, height_px))
    left = min(max(math.floor((x0 + x1 - side) / 2 + 0.5), 0), width_px - side)
    top = min(max(math.floor((y0 + y1 - side) / 2 + 0.5), 0), height_px - side)
    return left, top, left + side, top + side


_ENCODERS = {
    Kind.H264: ("libx264", {"threads": "1"}),
    Kind.HEVC: ("libx265", {"x265-params": "log-level=none:pools=1:frame-threads=1"}),
}
"""PyAV's encoders and their options; one thread, since frames are degraded beside each other."""


_LEAST_SIDE_PX = 64


def coded_frame(pixels: NDArray[np.uint8], kind: Kind, rate_factor: int) -> NDArray[np.uint8]:
    """A picture after coding as the only frame of a video, 4:2:0.

    Codecs take even sides of a least length: the last pixels are repeated for them, and cut off again.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255.
        kind: H264 or HEVC.
        rate_factor: Constant rate factor, 0 (best) to 51.

    Returns:
        The same shape and range.
    """
    height, width = pixels.shape[:2]
    added = [max(side + side % 2, _LEAST_SIDE_PX) - side for side in (height, width)]
    pixels = np.pad(pixels, ((0, added[0]), (0, added[1]), (0, 0)), mode="edge")
    name, options = _ENCODERS[kind]
    encoder = av.CodecContext.create(name, "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {"crf": str(rate_factor), **options}
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoder = av.CodecContext.create(kind.value, "r")
    decoded = [coded for packet in [*packets, None] for coded in decoder.decode(packet)]
    return np.ascontiguousarray(decoded[0].to_ndarray(format="rgb24")[:height, :width])


def _downscaled(image: Image.Image, factor: float) -> Image.Image:
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def decode(encoded: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An RGB image, upright after EXIF orientation: the pixels that the server sees.

    Args:
        encoded: An image file.
        max_pixels: Limit of width x height, checked on the header.

    Raises:
        MediaTooLargeError: There are more pixels.
        MediaDecodeError: It is no such file, or a broken one.
    """
    with open_picture(encoded, max_pixels) as image:
        return decode_upright(image)


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """A baseline JPEG with Pillow's tables for `quality` and 4:2:0 chroma subsampling.

    Raises:
        MediaTooLargeError: A side is longer than JPEG allows.
    """
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
    except OSError as error:
        raise MediaTooLargeError(f"{image.width} x {image.height} pixels are too many for a JPEG: {error}") from error
    return buffer.getvalue()


def encode_lossless(image: Image.Image) -> bytes:
    """A PNG, which changes no pixel."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
