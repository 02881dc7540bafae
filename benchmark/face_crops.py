"""What the classifier is shown of an image, before the checkpoint's own image processor: the product's face crop."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from assets import FACE_MODELS, fetch_assets
from preprocessing import FaceFinder, PreprocessParams, crop_square, decode_rgb


@dataclass(frozen=True)
class FaceCrop:
    """A crop, or the whole image where no face was found."""

    image: Image.Image
    has_face: bool


class FaceCropper:
    """Finds and cuts faces as the preprocess model does, and leaves the resize to whoever asked. For one thread."""

    def __init__(self, params: PreprocessParams, models_dir: Path) -> None:
        """Loads the face models unless face detection is off.

        Args:
            params: A release's parameters.
            models_dir: Folder with MediaPipe's two model files.
        """
        self._params = params
        self._finder = FaceFinder(models_dir, params.min_face_score) if params.face_detection else None

    def crop(self, encoded: bytes) -> FaceCrop:
        """Decodes an image and cuts its largest face.

        Raises:
            ImageRejectedError: The image breaks a limit or cannot be decoded.
        """
        params = self._params
        pixels = decode_rgb(encoded, max_bytes=params.max_bytes, max_pixels=params.max_pixels)
        image = Image.fromarray(pixels)
        face = self._finder.largest_face(pixels) if self._finder else None
        if face is None:
            return FaceCrop(image, has_face=False)
        square = crop_square(face.box, image.width, image.height, params.crop_factor)
        box = (square.x0, square.y0, square.x0 + square.side, square.y0 + square.side)
        return FaceCrop(image.crop(box), has_face=True)

    def close(self) -> None:
        """Frees the face detectors."""
        if self._finder:
            self._finder.close()


@contextmanager
def face_cropper(params: PreprocessParams | None = None, models_dir: Path | None = None) -> Iterator[FaceCropper]:
    """A cropper for a while; with default parameters and the catalogue's models unless told otherwise."""
    with tempfile.TemporaryDirectory(prefix="deepfake-faces-") as scratch:
        if models_dir is None:
            models_dir = Path(scratch)
            for name, path in fetch_assets(FACE_MODELS).items():
                (models_dir / name).symlink_to(path)
        cropper = FaceCropper(params or PreprocessParams(), models_dir)
        try:
            yield cropper
        finally:
            cropper.close()
