"""An image that proves a real inference: random pixels, so that no cache has the answer."""

import io
import os

from PIL import Image

_SIDE_PX = 64


def canary_image() -> bytes:
    """A PNG file of (64, 64, 3) random RGB values."""
    pixels = Image.frombytes("RGB", (_SIDE_PX, _SIDE_PX), os.urandom(_SIDE_PX * _SIDE_PX * 3))
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG")
    return buffer.getvalue()
