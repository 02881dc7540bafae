import numpy as np
import pytest
from PIL import Image

from assets import SAMPLE_PHOTOS, fetch_assets
from preprocessing import Box
from training.data.faces import FaceImage


@pytest.fixture(scope="session")
def face() -> FaceImage:
    """NASA's portrait, a face of some 100 px in 320."""
    with Image.open(fetch_assets(SAMPLE_PHOTOS)["astronaut.png"]) as image:
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[0:320, 64:384])
    return FaceImage(pixels, Box(110, 60, 210, 180), person="astronaut", source="astronaut.png")


@pytest.fixture(scope="session")
def donor(face: FaceImage) -> FaceImage:
    """The same, mirrored and brighter: enough of another person for geometry and colour."""
    pixels = np.ascontiguousarray(np.clip(face.pixels[:, ::-1].astype(int) + 30, 0, 255).astype(np.uint8))
    return FaceImage(pixels, Box(110, 60, 210, 180), person="other", source="donor.png")
