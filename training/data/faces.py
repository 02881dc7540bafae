"""From frames to faces: what training keeps of a face, the crop that serving makes, and forgeries."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepfake_client.analysis.faces import FaceRules
from preprocessing import Box, PreprocessParams, ResizeSpec, crop_square, decode_rgb, resize_to_square
from preprocessing.face_detection import Face


@dataclass(frozen=True)
class FaceImage:
    """A square cut around a face, wide enough for every crop that training draws.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, 0-255; at most 512 px a side.
        box: The detector's box in these pixels; the whole image where no face was found.
        person: Whose face, or which source: never on two sides of a split.
        source: The file, for messages.
    """

    pixels: NDArray[np.uint8]
    box: Box
    person: str
    source: str

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Forgery:
    """A manipulated face.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, 0-255: as large as the face's.
        mask: (H, W) float32, 0-1: how much of each pixel is foreign.
        method: How it was made, for tables of results.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.float32]
    method: str


_MIN_CONTRAST = 8.0
"""Standard deviation of grey levels below which a picture has no hash: black frames are not one source."""

MAX_WIDE_SIDE_PX = 512
"""Wide crops are reduced to this. It is over twice the input of 224 px models, and bounds disk and memory per face."""


@dataclass(frozen=True)
class CutParams:
    """Everything that decides how faces are cut.

    Attributes:
        crop_factor: Side of the served crop over the longer side of the box.
        resize: The model's resize.
        frames: Frames taken of a video.
        rules: Which faces of a frame.
        face_detection: Off: nothing is looked for, and the whole image is kept.
    """

    crop_factor: float
    resize: ResizeSpec
    frames: int
    rules: FaceRules = field(default_factory=FaceRules)
    face_detection: bool = True

    @property
    def wide_factor(self) -> float:
        """Side of the wide crop over the longer side of the box: room for jitter around any served crop."""
        return max(2.0, 1.5 * self.crop_factor)


@dataclass(frozen=True)
class CutFace:
    """The pictures that are kept of one face, or of a frame without one.

    Attributes:
        wide: (H, W, 3) uint8, RGB, 0-255: around the face, at most 512 px a side; the whole image without a face.
        box: The detector's box in `wide`; all of it without a face.
        served: (S, S, 3) uint8, RGB, 0-255: exactly what serving gives to the classifier.
    """

    wide: NDArray[np.uint8]
    box: Box
    served: NDArray[np.uint8]


def decode_frame(encoded: bytes) -> NDArray[np.uint8]:
    """An encoded frame as (H, W, 3) uint8 RGB, under serving's limits.

    Raises:
        ImageRejectedError: It breaks a limit or cannot be decoded.
    """
    limits = PreprocessParams()
    return decode_rgb(encoded, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels)


def picture_hash(pixels: NDArray[np.uint8]) -> str:
    """OpenCV's pHash (64 bits of a DCT) as 16 hexadecimal digits; "" for a picture of almost one colour.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255.
    """
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if float(grey.std()) < _MIN_CONTRAST:
        return ""
    return bytes(cv2.img_hash.pHash(grey).ravel()).hex()


def cut_face(pixels: NDArray[np.uint8], face: Face | None, params: CutParams) -> CutFace:
    """Cuts a frame around a face.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255.
        face: The face, or None: the whole image is kept.
        params: How.
    """
    wide, box = wide_crop(pixels, face, params.wide_factor)
    served = serving_view(wide, box, params.crop_factor, params.resize)
    return CutFace(*reduced(wide, box, MAX_WIDE_SIDE_PX), served)


def wide_crop(pixels: NDArray[np.uint8], face: Face | None, factor: float) -> tuple[NDArray[np.uint8], Box]:
    """A square around the face, moved to lie inside the image, and the box in it. Without a face: the whole image."""
    height, width = pixels.shape[:2]
    if face is None:
        return pixels, Box(0.0, 0.0, float(width), float(height))
    square = crop_square(face.box, width, height, factor)
    x0, y0 = square.x0, square.y0
    box = Box(face.box.x0 - x0, face.box.y0 - y0, face.box.x1 - x0, face.box.y1 - y0)
    wide = np.ascontiguousarray(pixels[y0 : y0 + square.side, x0 : x0 + square.side])
    return wide, box.clipped(square.side, square.side)


def serving_view(wide: NDArray[np.uint8], box: Box, crop_factor: float, resize: ResizeSpec) -> NDArray[np.uint8]:
    """What serving gives to the classifier, cut from a wide crop that was not reduced.

    Equal to `preprocessing.Preparer` on the whole frame: the wide square holds the narrow one, and both are moved by
    the same rule.

    Returns:
        (S, S, 3) uint8, RGB, 0-255.
    """
    height, width = wide.shape[:2]
    if not is_whole(box, width, height):
        square = crop_square(box, width, height, crop_factor)
        wide = wide[square.y0 : square.y0 + square.side, square.x0 : square.x0 + square.side]
    return resize_to_square(np.ascontiguousarray(wide), resize)


def is_whole(box: Box, width_px: int, height_px: int) -> bool:
    """Whether a box covers the whole image, which stands for "no face"."""
    slack_px = 1e-3  # boxes that were scaled
    return (
        box.x0 <= slack_px and box.y0 <= slack_px and box.x1 >= width_px - slack_px and box.y1 >= height_px - slack_px
    )


def reduced(wide: NDArray[np.uint8], box: Box, side_px: int) -> tuple[NDArray[np.uint8], Box]:
    """A picture and the box in it, scaled down by Lanczos to at most `side_px` a side where they are larger."""
    height, width = wide.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return wide, box
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = np.array(Image.fromarray(wide).resize(size, Image.Resampling.LANCZOS))
    x_scale, y_scale = size[0] / width, size[1] / height
    return small, Box(box.x0 * x_scale, box.y0 * y_scale, box.x1 * x_scale, box.y1 * y_scale)
