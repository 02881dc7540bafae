"""One encoded image to the classifier's pixels: decode, find the face, crop, resize."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing.crop import crop_square
from preprocessing.decode import decode_rgb
from preprocessing.faces import Face, FaceFinder
from preprocessing.params import PreprocessParams
from preprocessing.resize import resize_to_square


@dataclass(frozen=True)
class PreparedImage:
    """What the classifier gets for one image.

    Attributes:
        pixels: (S, S, 3) uint8, RGB, 0-255.
        face: The largest face of the whole image, or None.
    """

    pixels: NDArray[np.uint8]
    face: Face | None


class Preparer:
    """Prepares images with one set of parameters. One preparer belongs to one thread."""

    def __init__(self, params: PreprocessParams, face_models_dir: Path) -> None:
        """Loads the face models unless face detection is off.

        Args:
            params: The release's parameters.
            face_models_dir: Folder with MediaPipe's two model files.
        """
        self.params = params
        self._finder = FaceFinder(face_models_dir, params.min_face_score) if params.face_detection else None

    def prepare(self, encoded: bytes) -> PreparedImage:
        """Prepares one encoded image.

        Raises:
            ImageRejectedError: The image breaks a limit or cannot be decoded.
        """
        pixels, face = self.crop(encoded)
        return PreparedImage(resize_to_square(np.ascontiguousarray(pixels), self.params.resize), face)

    def crop(self, encoded: bytes) -> tuple[NDArray[np.uint8], Face | None]:
        """All but the resize: (H, W, 3) uint8 RGB pixels around the largest face, or the whole image without one.

        Raises:
            ImageRejectedError: The image breaks a limit or cannot be decoded.
        """
        params = self.params
        pixels = decode_rgb(encoded, max_bytes=params.max_bytes, max_pixels=params.max_pixels)
        face = self._finder.largest_face(pixels) if self._finder else None
        if face is not None:
            height, width = pixels.shape[:2]
            square = crop_square(face.box, width, height, params.crop_factor)
            pixels = pixels[square.y0 : square.y0 + square.side, square.x0 : square.x0 + square.side]
        return pixels, face

    def close(self) -> None:
        """Frees the face detectors."""
        if self._finder:
            self._finder.close()
