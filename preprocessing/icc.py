"""Colour profiles: what an image's numbers mean, as sRGB. Browsers do the same: perceptual intent, no compensation.

The same text is `preprocessing/icc.py` and `deepfake_client/formats/icc.py`: clients need not install the first one's
package, and must show what is scored.
"""

import io
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20
"""Larger ones are ignored. Those of printing presses, the largest in use, have 0.5 to 3 MiB."""

_SAME_LEVELS = 2
"""A profile that changes no colour by more is sRGB, of which there are many; its description proves nothing."""

_NO_CACHE = ImageCms.Flags.NOCACHE  # the same result, 15% faster with photographs
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_DEVICES = (b"mntr", b"scnr", b"prtr", b"spac")
_STRIP_PX = 64
_SRGB = ImageCms.createProfile("sRGB")


class ToSrgb:
    """Makes sRGB of the colours that a profile describes. Thread-safe.

    Attributes:
        mode: Pillow's mode of what it takes: RGB, L or CMYK.
    """

    def __init__(self, profile: bytes, mode: str) -> None:
        """Reads the profile; raises one of lcms2's errors where it cannot be read, or not be used for the mode."""
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        self._transform = ImageCms.buildTransform(opened, _SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL, _NO_CACHE)
        self.mode = mode

    def convert(self, image: Image.Image) -> Image.Image:
        """A new image of mode RGB."""
        return cast("Image.Image", ImageCms.applyTransform(image, self._transform))

    def converted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A converted copy, C-contiguous; see `convert_pixels`."""
        copy = np.array(pixels, order="C")
        self.convert_pixels(copy)
        return copy

    def convert_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Converts in place, by strips, which take little memory.

        Args:
            pixels: (H, W, 3) uint8, RGB; grey where the mode is L.
        """
        for top in range(0, len(pixels), _STRIP_PX):
            strip = pixels[top : top + _STRIP_PX]
            strip[:] = np.asarray(self.convert(Image.fromarray(strip if self.mode == "RGB" else strip[..., 0])))

    def changes_nothing(self) -> bool:
        """Whether it leaves all colours as they are, but for rounding."""
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        grey = self.mode == "L"
        axes = [levels] * 3 if not grey else [levels]
        colours = np.stack(np.meshgrid(*axes), axis=-1).reshape(1, -1, len(axes))
        if grey:
            colours = np.repeat(colours, 3, axis=2)
        return int(np.abs(self.converted(colours).astype(int) - colours).max()) <= _SAME_LEVELS


def to_srgb(image: Image.Image) -> ToSrgb | None:
    """What makes sRGB of an image with a profile.

    Returns:
        None where the pixels can stay as they are: there is no profile, it is damaged, too large or one for other
        images, or it is sRGB.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 128 < len(profile) <= MAX_PROFILE_BYTES:
        return None
    mode = _MODES.get(profile[16:20])
    grey = image.mode in ("L", "LA") or image.mode.startswith("I")
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not grey):
        return None
    return _read(profile, mode)


@lru_cache(maxsize=16)
def _read(profile: bytes, mode: str) -> ToSrgb | None:
    # `mpet` tags may ask for any number of steps for each colour; browsers do not read them either.
    if profile[12:16] not in _DEVICES or b"mpet" in profile or int.from_bytes(profile[:4], "big") > len(profile):
        return None
    try:
        made = ToSrgb(profile, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if mode != "CMYK" and made.changes_nothing() else made
