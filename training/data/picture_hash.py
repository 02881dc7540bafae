"""A perceptual hash: almost equal for copies of a picture that were scaled or saved again."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_MIN_CONTRAST = 8.0
"""Standard deviation of grey levels below which a picture says too little: black frames are not one source."""

_MAX_BITS = 2
"""Copies differ in this many of 64 bits at most; more would join aligned portraits of different people."""

_CHUNK = 256


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


def copies(hashes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of places whose hashes are those of copies; of equal hashes only neighbouring places are paired.

    Args:
        hashes: From `picture_hash`; "" is like no other.
    """
    places: dict[str, int] = {}
    for place, hash_ in enumerate(hashes):
        if hash_ in places:
            yield places[hash_], place
        if hash_:
            places[hash_] = place
    values = np.array([int(hash_, 16) for hash_ in places], np.uint64)
    where = list(places.values())
    bits = np.array([number.bit_count() for number in range(2**16)], np.uint8)
    for start in range(0, len(values), _CHUNK):
        different = (values[start : start + _CHUNK, None] ^ values[None, start:]).view(np.uint16)
        count = bits[different].reshape(*different.shape[:-1], -1, 4).sum(axis=-1)
        for row, column in np.argwhere(count <= _MAX_BITS):
            if row < column:
                yield where[start + row], where[start + column]
