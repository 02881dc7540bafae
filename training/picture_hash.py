"""A perceptual hash: equal for copies of a picture that were scaled or saved again."""

import numpy as np
from numpy.typing import NDArray

_MIN_CONTRAST = 8.0
"""Standard deviation of grey levels below which a picture says too little: black frames are not one source."""


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
