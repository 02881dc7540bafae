"""HDR pictures as an ordinary screen shows them, by tables of 65,536 values.

FFmpeg's scaler does it too, but takes 4 s of processor time for each video to make its own table.
"""

from functools import cache

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc
from numpy.typing import NDArray

HDR_TRANSFERS = frozenset({ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67})
"""PQ and HLG, of ITU-R BT.2100."""

_WHITE_NITS = 203
"""Of paper in the picture (ITU-R BT.2408)."""

_PEAK = 1000 / _WHITE_NITS
"""Brightest light that is told apart, as a share of white: HLG's own peak."""

_KNEE = 0.75
"""Light up to this share of white stays as it is, skin with it. What is brighter shares the rest."""

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_STEPS = np.linspace(0, 1, 2**16)
_BAND_ROWS = 32  # what is worked on at a time stays in the processor's cache


def tone_mapped(signal: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB.

    Args:
        signal: (H, W, 3) RGB, the values of the transfer function, 65,535 for 1.
        transfer: One of `HDR_TRANSFERS`.
        primaries: BT.709's; all others count as BT.2020's.
    """
    light, screen = _light(transfer), _screen()
    to_bt709 = (np.eye(3, dtype=np.float32) if primaries == ColorPrimaries.BT709 else _BT2020_TO_BT709).T
    mapped = np.empty(signal.shape, np.uint8)
    for top in range(0, len(signal), _BAND_ROWS):
        band = light.take(signal[top : top + _BAND_ROWS], mode="clip") @ to_bt709
        mapped[top : top + _BAND_ROWS] = screen.take(band.astype(np.int32), mode="clip")
    return mapped


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """The display light of each signal; 65,535 stands for the peak."""
    white = _WHITE_NITS * _PEAK
    nits = _pq_nits(_STEPS) if transfer == ColorTrc.SMPTE2084 else _hlg_nits(_STEPS)
    return (65_535 * nits / white).astype(np.float32)


@cache
def _screen() -> NDArray[np.uint8]:
    """The sRGB value of each light from 0 to the peak: above the knee it follows Reinhard's curve."""
    light = _STEPS * _PEAK
    peak, above = (_PEAK - _KNEE) / (1 - _KNEE), (light - _KNEE) / (1 - _KNEE)
    rolled_off = _KNEE + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above)
    light = np.where(above <= 0, light, rolled_off)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * value).round().astype(np.uint8)


def _pq_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    power = signal ** (1 / 78.84375)
    nits: NDArray[np.float64] = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (
        1 / 0.1593017578125
    )
    return 10_000 * nits


def _hlg_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """On a screen of 1,000 nits.

    The system gamma, 1.2, is applied to each channel, as converters to HLG do (zimg); BT.2100 applies it to luminance,
    by which strong colours become a few levels paler.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return 1000 * scene**1.2
