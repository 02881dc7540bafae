"""RGB pixels to the classifier's square, equal to the checkpoint's own image processor to the grey level."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.params import ResizeMode, ResizeSpec


def resize_to_square(pixels: NDArray[np.uint8], spec: ResizeSpec) -> NDArray[np.uint8]:
    """Resizes with Pillow's antialiasing filters, as transformers' image processors do.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255.
        spec: The checkpoint's resize.

    Returns:
        (S, S, 3) uint8, RGB, 0-255, C-contiguous, with S = `spec.size_px`.
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    filter_ = Image.Resampling(spec.resample)
    # int() truncates the longer side, as the processors do.
    if spec.mode is ResizeMode.EXACT:
        new_size = (spec.edge_px, spec.edge_px)
    elif width <= height:
        new_size = (spec.edge_px, int(spec.edge_px * height / width))
    else:
        new_size = (int(spec.edge_px * width / height), spec.edge_px)
    resized = np.asarray(image.resize(new_size, filter_))
    rest_px = (resized.shape[0] - spec.size_px, resized.shape[1] - spec.size_px)
    top, left = (round(rest / 2) if spec.rounded_crop else rest // 2 for rest in rest_px)
    return np.ascontiguousarray(resized[top : top + spec.size_px, left : left + spec.size_px])
