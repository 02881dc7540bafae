"""One encoded image to the classifier's pixels: decode, find the faces, crop, resize."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing.crop import WHOLE_PICTURE, Box, crop_square
from preprocessing.decode import decode_as_stored
from preprocessing.face_detection import Face, FaceFinder
from preprocessing.params import PreprocessParams, View
from preprocessing.resize import resize_to_square
from preprocessing.status import ImageRejectedError, Status

MAX_FACES = 8
"""Most faces of an image that are reported."""


@dataclass(frozen=True)
class PreparedImage:
    """What the classifier gets for one image.

    Attributes:
        pixels: (S, S, 3) uint8, RGB, 0-255.
        faces: Of the whole image, at most `MAX_FACES`, the largest first; none where they were not searched for.
        further: The squares of `PreprocessParams.further_views`, as `pixels`.
    """

    pixels: NDArray[np.uint8]
    faces: tuple[Face, ...]
    further: tuple[NDArray[np.uint8], ...] = ()


class Preparer:
    """Prepares images with one set of parameters. One preparer belongs to one thread."""

    def __init__(self, params: PreprocessParams, face_models_dir: Path) -> None:
        """Loads the face models unless face detection is off.

        Args:
            params: The release's parameters.
            face_models_dir: Folder with MediaPipe's two model files.
        """
        self.params = params
        self._finder = (
            FaceFinder(face_models_dir, params.min_face_score, params.face_detector) if params.face_detection else None
        )

    def prepare(self, encoded: bytes, face_box: Box | None = None) -> PreparedImage:
        """Prepares one encoded image.

        Args:
            encoded: The image file.
            face_box: The face to cut out, in pixels after EXIF orientation, or `WHOLE_PICTURE`; no face is searched
                for then. None: the largest face that is found.

        Raises:
            ImageRejectedError: The image breaks a limit or cannot be decoded, or the box covers none of it.
        """
        (first, *further), faces = self._crops(encoded, face_box, self.params.views)
        squares = (
            resize_to_square(pixels, view.resize)
            for pixels, view in zip(further, self.params.further_views, strict=True)
        )
        return PreparedImage(resize_to_square(first, self.params.resize), faces, tuple(squares))

    def crop(self, encoded: bytes, face_box: Box | None = None) -> tuple[NDArray[np.uint8], tuple[Face, ...]]:
        """All but the resize: (H, W, 3) uint8 sRGB pixels around the face, or the whole image without one, and faces.

        For the arguments and errors see `prepare`.
        """
        (pixels,), faces = self._crops(encoded, face_box, self.params.views[:1])
        return pixels, faces

    def _crops(
        self, encoded: bytes, face_box: Box | None, views: tuple[View, ...]
    ) -> tuple[list[NDArray[np.uint8]], tuple[Face, ...]]:
        """What each view is resized from."""
        params = self.params
        pixels, profile = decode_as_stored(
            encoded,
            max_bytes=params.max_bytes,
            max_pixels=params.max_pixels,
            pipeline_pixels=params.pipeline_pixels,
        )
        height, width = pixels.shape[:2]
        faces: tuple[Face, ...] = ()
        if face_box is None:
            faces = tuple(self._finder.faces(pixels, profile)[:MAX_FACES]) if self._finder else ()
            face_box = faces[0].box if faces else WHOLE_PICTURE
        if face_box != WHOLE_PICTURE:
            face_box = face_box.clipped(width, height)
            if not face_box.area > 0:
                raise ImageRejectedError(Status.FACE_BOX_OUTSIDE, f"the image is {width} x {height} px")
        if profile is not None and len(views) > 1:
            profile.convert_pixels(pixels)  # once, since the views may share pixels
            profile = None
        crops = [_cut(pixels, face_box, view) for view in views]
        if profile is not None:
            profile.convert_pixels(crops[0])
        return crops, faces

    def close(self) -> None:
        """Frees the face detectors."""
        if self._finder:
            self._finder.close()


def _cut(pixels: NDArray[np.uint8], face_box: Box, view: View) -> NDArray[np.uint8]:
    """The square around the face, or all of (H, W, 3) pixels."""
    if view.whole_image or face_box == WHOLE_PICTURE:
        return pixels
    height, width = pixels.shape[:2]
    square = crop_square(face_box, width, height, view.crop_factor)
    return np.ascontiguousarray(pixels[square.y0 : square.y0 + square.side, square.x0 : square.x0 + square.side])
