"""The gate: the exported graph must compute what the checkpoint computes, on images as varied as users'."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from export.checkpoint import Checkpoint
from export.errors import ParityError
from export.parity_images import varied_images
from preprocessing import resize_to_square

TOLERANCES = {"fp32": 1e-5}
"""Largest allowed |dp| per precision, declared before measuring."""

BATCH_TOLERANCE = 1e-6
"""Largest allowed difference of one image's probability between batches, in fp32."""

Floats = NDArray[np.floating[Any]]

_FLIP_MARGIN = 0.02  # decisions this close to 0.5 may fall either way


@dataclass(frozen=True)
class ParityResult:
    """What the gate measured.

    Attributes:
        images: Number of images.
        max_dp: Largest |difference| of the fake probability from PyTorch fp32.
        mean_dp: Mean of the same.
        max_dlogit: Largest |difference| of the log-odds of fake.
        flipped: Decisions at 0.5 that differ, outside 0.48-0.52.
        std_p: Spread of PyTorch's probabilities: a gate on constant scores would prove nothing.
        max_batch_dp: Largest |difference| of one image's probability alone and in a batch.
        pixel_difference: Largest grey-level difference between our resize and the checkpoint's image processor.
        tolerance: The declared limit of max_dp.
    """

    images: int
    max_dp: float
    mean_dp: float
    max_dlogit: float
    flipped: int
    std_p: float
    max_batch_dp: float
    pixel_difference: int
    tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready values."""
        return asdict(self)


def check_parity(
    checkpoint: Checkpoint,
    onnx_path: Path,
    tolerance: float,
    image_count: int = 32,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ParityResult:
    """Compares the graph file with the PyTorch model over generated images.

    PyTorch sees what the checkpoint's own image processor makes of each image; the graph sees our pixels.

    Args:
        checkpoint: The loaded checkpoint.
        onnx_path: The served graph.
        tolerance: Largest allowed max_dp.
        image_count: Number of images.
        progress: Called with (images done, images in all).

    Raises:
        ParityError: A figure is out of bounds; the message names it.
    """
    session = _session(onnx_path)
    squares: list[NDArray[np.uint8]] = []
    reference: list[float] = []
    alone: list[float] = []
    pixel_difference = 0
    for done, image in enumerate(varied_images(image_count), start=1):
        square = resize_to_square(np.asarray(image), checkpoint.resize)
        pixel_difference = max(pixel_difference, _pixel_difference(checkpoint, image, square))
        squares.append(square)
        reference.append(_torch_fake_probability(checkpoint, image))
        alone.append(float(_run(session, square[None])[0]))
        progress(done, image_count)
    batched = np.concatenate([_run(session, np.stack(squares[i : i + 8])) for i in range(0, image_count, 8)])
    result = _measure(np.array(reference), np.array(alone), batched, pixel_difference, tolerance)
    _judge(result)
    return result


def _measure(
    reference: Floats, alone: Floats, batched: Floats, pixel_difference: int, tolerance: float
) -> ParityResult:
    dp = np.maximum(np.abs(alone - reference), np.abs(batched - reference))
    decided = np.abs(reference - 0.5) > _FLIP_MARGIN
    return ParityResult(
        images=len(reference),
        max_dp=float(dp.max()),
        mean_dp=float(dp.mean()),
        max_dlogit=float(np.abs(_log_odds(alone) - _log_odds(reference)).max()),
        flipped=int((((alone > 0.5) != (reference > 0.5)) & decided).sum()),
        std_p=float(reference.std()),
        max_batch_dp=float(np.abs(alone - batched).max()),
        pixel_difference=pixel_difference,
        tolerance=tolerance,
    )


def _judge(result: ParityResult) -> None:
    if result.pixel_difference > 0:
        raise ParityError(
            f"our resize differs from the checkpoint's image processor by {result.pixel_difference} grey levels: "
            "this processor is not supported"
        )
    if not result.max_dp <= result.tolerance:
        raise ParityError(
            f"max |dp| = {result.max_dp:.3g} over {result.images} images exceeds the tolerance {result.tolerance:.3g}"
        )
    if result.flipped:
        raise ParityError(f"{result.flipped} of {result.images} decisions flipped")
    if not result.max_batch_dp <= max(BATCH_TOLERANCE, result.tolerance / 10):
        raise ParityError(f"an image's probability differs by {result.max_batch_dp:.3g} between batches")


def _log_odds(p: Floats) -> Floats:
    clipped = np.clip(p.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _session(onnx_path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, squares: NDArray[np.uint8]) -> Floats:
    status = np.zeros((len(squares), 1), np.int32)
    return np.asarray(session.run(["FAKE_PROBABILITY"], {"PIXELS": squares, "STATUS": status})[0][:, 0])


def _torch_fake_probability(checkpoint: Checkpoint, image: Image.Image) -> float:
    import torch

    with torch.inference_mode():
        logits = checkpoint.model(**checkpoint.processor(image, return_tensors="pt")).logits.double()
        return float(logits.softmax(-1)[0, checkpoint.fake_indices].sum())


def _pixel_difference(checkpoint: Checkpoint, image: Image.Image, square: NDArray[np.uint8]) -> int:
    theirs = checkpoint.processor(image, do_rescale=False, do_normalize=False, return_tensors="np").pixel_values[0]
    theirs = np.asarray(theirs).transpose(1, 2, 0)
    if theirs.shape != square.shape:
        return 255
    return int(np.abs(theirs.astype(np.int32) - square.astype(np.int32)).max())
