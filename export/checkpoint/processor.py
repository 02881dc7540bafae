"""What a checkpoint's image processor does.

The resize is read from its settings, and the gate compares its pixels. What it does to the values of pixels is seen
from plain pictures: rescaling, normalisations and the order of the channels are one affine map, whatever their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.errors import CheckpointError
from preprocessing import ResizeMode, ResizeSpec

Triple = tuple[float, float, float]

_PICTURE_PX = 64
_AFFINE_TOLERANCE = 1e-3  # grey levels
_CONVNEXT_WARPS_FROM_PX = 384  # transformers' own rule


@dataclass(frozen=True)
class Normalisation:
    """What the processor does to pixel values: value x gain_c + shift_c in each of the model's channels.

    Attributes:
        gain: By channel of the model.
        shift: By channel of the model.
        bgr: Whether the model's channels are blue, green and red.
    """

    gain: Triple
    shift: Triple
    bgr: bool = False

    def applied(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 3, S, S) float32 for the model of (N, S, S, 3) uint8 RGB."""
        ordered = pixels[..., ::-1] if self.bgr else pixels
        values = ordered * np.array(self.gain) + np.array(self.shift)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)


def read_processor(processor: Any, name: str) -> tuple[ResizeSpec, Normalisation]:
    """Reads an image processor.

    Args:
        processor: transformers' one.
        name: Of the checkpoint, for messages.

    Raises:
        CheckpointError: It does something that cannot be reproduced: no resize, a variable or oblong size, padding.
    """
    timm = getattr(processor, "data_config", None)
    resize = _resize_of_timm(timm, name) if timm else _read_resize(processor, name)
    return resize, _read_normalisation(processor, name)


def _read_resize(processor: Any, name: str) -> ResizeSpec:
    if not getattr(processor, "do_resize", False):
        raise CheckpointError(f"{name}: its image processor does not resize, so its input has no fixed size")
    if getattr(processor, "do_pad", False):
        raise CheckpointError(f"{name}: its image processor pads, which is not supported")
    size, resample = dict(processor.size), int(processor.resample)
    edge, share = size.get("shortest_edge"), getattr(processor, "crop_pct", None)
    cut = dict(processor.crop_size) if getattr(processor, "do_center_crop", False) else None
    if cut is not None and cut.get("height") != cut.get("width"):
        raise CheckpointError(f"{name}: its image processor crops to {cut}, not to a square")
    if edge and share and cut is None:  # ConvNeXt's processor
        if edge >= _CONVNEXT_WARPS_FROM_PX:
            return ResizeSpec(edge, resample)
        return ResizeSpec(edge, resample, ResizeMode.SHORTEST_EDGE_CENTER_CROP, int(edge / share))
    if edge and cut is not None:
        whole = int(edge / share) if share else edge
        return ResizeSpec(cut["height"], resample, ResizeMode.SHORTEST_EDGE_CENTER_CROP, whole)
    if "height" in size and size["height"] == size.get("width"):
        return ResizeSpec(cut["height"] if cut else size["height"], resample, ResizeMode.EXACT, size["height"])
    raise CheckpointError(f"{name}: its image processor resizes to {size}, which is no fixed square")


def _resize_of_timm(config: Mapping[str, Any], name: str) -> ResizeSpec:
    """The evaluation transform of timm: torchvision's resize and centre crop of a Pillow picture."""
    channels, height, width = config["input_size"]
    mode, filters = config.get("crop_mode") or "center", {"bilinear": 2, "bicubic": 3, "nearest": 0, "lanczos": 1}
    if channels != 3 or height != width or mode not in ("center", "squash") or config["interpolation"] not in filters:
        raise CheckpointError(
            f"{name}: its picture is prepared by {mode}, {config['interpolation']} to {height} x {width}, which is no "
            "fixed square of RGB"
        )
    how = ResizeMode.EXACT if mode == "squash" else ResizeMode.SHORTEST_EDGE_CENTER_CROP
    edge = int(height / (config.get("crop_pct") or 1))
    return ResizeSpec(height, filters[config["interpolation"]], how, edge, rounded_crop=True)


def _read_normalisation(processor: Any, name: str) -> Normalisation:
    black, white, red, grey = (
        _value_of(processor, colour, name) for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0), (128, 128, 128))
    )
    gain, shift = (white - black) / 255, black
    orders = [
        order for order, at in ((False, 0), (True, 2)) if np.allclose(red, np.where(np.arange(3) == at, white, black))
    ]
    affine = (np.abs(grey - (128 * gain + shift)) <= _AFFINE_TOLERANCE * np.abs(gain)).all()
    if not affine or not (gain > 0).all() or not orders:
        raise CheckpointError(f"{name}: its image processor does more to colours than scale and shift each channel")
    return Normalisation(_triple(gain), _triple(shift), orders[0])


def _triple(values: NDArray[np.float64]) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _value_of(processor: Any, colour: tuple[int, int, int], name: str) -> NDArray[np.float64]:
    """(3,) what a picture of one colour becomes."""
    picture = Image.new("RGB", (_PICTURE_PX, _PICTURE_PX), colour)
    values = np.asarray(processor([picture], return_tensors="pt")["pixel_values"], np.float64)
    if values.ndim != 4 or values.shape[:2] != (1, 3):
        raise CheckpointError(f"{name}: its image processor makes {values.shape} of a picture, not (1, 3, S, S)")
    if np.ptp(values, axis=(2, 3)).max() > 1e-4 * max(np.abs(values).max(), 1):
        raise CheckpointError(f"{name}: its image processor pads, or draws over, a picture of one colour")
    return np.asarray(values[0, :, 0, 0])
