"""What the classifier is shown of an image, before the checkpoint's own image processor: the product's face crop."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from assets import FACE_MODELS, fetch_assets
from preprocessing import Preparer, PreprocessParams


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
        self._preparer = Preparer(params, models_dir)

    def crop(self, encoded: bytes) -> FaceCrop:
        """Decodes an image and cuts its largest face.

        Raises:
            ImageRejectedError: The image breaks a limit or cannot be decoded.
        """
        pixels, face = self._preparer.crop(encoded)
        return FaceCrop(Image.fromarray(pixels), has_face=face is not None)

    def close(self) -> None:
        """Frees the face detectors."""
        self._preparer.close()


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
