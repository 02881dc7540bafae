"""Filters that a small model's patch embedding starts from: what a patch's texture and colour are made of.

From random filters a small vision transformer takes very long to find out that forgeries show in how sharp, noisy or
compressed one region is beside another. Bands of the discrete cosine transform say that from the first step.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])  # ITU-T T.871 (JPEG)
_LOW = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))
_LUMA_BANDS = (0.9, 2.1, 3.2, 4.7, 6.6, 9.0, 12.0, 15.5, 22.0)
"""Edges in cycles per two patches, each octave in two: radii in the table of a 16 x 16 transform."""
_CHROMA_BANDS = (0.9, 4.0, 8.0, 22.0)
_LUMA_SHARE = 0.72
_NO_BAND = -1


@dataclass(frozen=True)
class TextureFilters:
    """A bank of linear filters of a patch.

    Attributes:
        weights: (F, 3, P, P) float64 over RGB, unit norm before the conversion of colours.
        band: (F,) int64: filters of one number measure one band of frequencies of one channel; -1: single filters.
    """

    weights: NDArray[np.float64]
    band: NDArray[np.int64]


def texture_filters(count: int, patch_px: int, rng: np.random.Generator) -> TextureFilters:
    """Means, low frequencies, and random mixtures within bands of luma and chroma.

    Mixtures rather than single coefficients: the mean square of a few of them estimates the energy of a whole band.

    Args:
        count: How many; at least 40.
        patch_px: Side of a patch.
        rng: Mixes the coefficients.

    Raises:
        ValueError: Fewer than 40 filters.
    """
    if count < 40:
        raise ValueError(f"{count} filters are too few for all bands; take 40 or more")
    basis = _cosine_basis(patch_px)
    filters: list[tuple[int, NDArray[np.float64], int]] = [(channel, basis[0, 0], _NO_BAND) for channel in range(3)]
    filters += [(0, basis[u, v], _NO_BAND) for u, v in _LOW]
    filters += [(channel, basis[u, v], _NO_BAND) for channel in (1, 2) for u, v in _LOW[:3]]
    bands = len(_LUMA_BANDS) - 1
    per_band = int(_LUMA_SHARE * (count - len(filters))) // bands
    for band in range(bands):
        members = _members(basis, _LUMA_BANDS[band], _LUMA_BANDS[band + 1])
        filters += [(0, mixture, band) for mixture in _mixtures(members, per_band, rng)]
    places = [(channel, k) for k in range(len(_CHROMA_BANDS) - 1) for channel in (1, 2)]
    for i in range(count - len(filters)):
        channel, k = places[i % len(places)]
        members = _members(basis, _CHROMA_BANDS[k], _CHROMA_BANDS[k + 1])
        band = bands + (channel - 1) * (len(_CHROMA_BANDS) - 1) + k
        filters.append((channel, _mixtures(members, 1, rng)[0], band))
    weights = np.stack([_YCBCR[channel][:, None, None] * pattern for channel, pattern, _ in filters])
    return TextureFilters(weights, np.array([band for *_, band in filters], np.int64))


def _cosine_basis(patch_px: int) -> NDArray[np.float64]:
    """(P, P, P, P) float64: the orthonormal DCT-II patterns by vertical and horizontal frequency."""
    k = np.arange(patch_px)
    rows = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / (2 * patch_px)) * np.sqrt(2 / patch_px)
    rows[0] /= np.sqrt(2)
    return np.asarray(np.einsum("ui,vj->uvij", rows, rows), np.float64)


def _members(basis: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """(M, P, P): the patterns whose frequency lies in a ring, in units of a 16 px patch."""
    patch_px = len(basis)
    u, v = np.meshgrid(np.arange(patch_px), np.arange(patch_px), indexing="ij")
    radius = np.hypot(u, v) * 16 / patch_px
    return basis[(radius >= low) & (radius < high)]


def _mixtures(members: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Orthonormal random mixtures; no more than there are patterns."""
    mixing, _ = np.linalg.qr(rng.standard_normal((len(members), min(count, len(members)))))
    return [np.tensordot(column, members, 1) for column in mixing.T]
