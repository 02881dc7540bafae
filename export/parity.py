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

LOGIT_TOLERANCES = {"fp32": 1e-3}
"""Largest allowed difference of the log-odds of fake: it bites where a saturated model's probabilities hide a drift."""

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
        std_p: Spread of PyTorch's probabilities.
        max_batch_dp: Largest |difference| of one image's probability alone and in a batch.
        pixel_difference: Largest grey-level difference between our resize and the checkpoint's image processor.
        tolerance: The declared limit of max_dp.
        logit_tolerance: The declared limit of max_dlogit.
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
    logit_tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready values."""
        return asdict(self)


def check_parity(
    checkpoint: Checkpoint,
    onnx_path: Path,
    tolerance: float,
    logit_tolerance: float,
    image_count: int = 32,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ParityResult:
    """Compares the graph file with the PyTorch model over generated images.

    PyTorch sees what the checkpoint's own image processor makes of each image; the graph sees our pixels.

    Args:
        checkpoint: The loaded checkpoint.
        onnx_path: The served graph.
        tolerance: Largest allowed max_dp.
        logit_tolerance: Largest allowed max_dlogit.
        image_count: Number of images.
        progress: Called with (images done, images in all).

    Raises:
        ParityError: A figure is out of bounds; the message names it.
    """
    session = _session(onnx_path)
    squares: list[NDArray[np.uint8]] = []
    reference: list[Floats] = []
    pixel_difference = 0
    for done, image in enumerate(varied_images(image_count), start=1):
        square = resize_to_square(np.asarray(image), checkpoint.resize)
        pixel_difference = max(pixel_difference, _pixel_difference(checkpoint, image, square))
        squares.append(square)
        reference.append(_torch_log_probabilities(checkpoint, image))
        progress(done, image_count)
    fake = checkpoint.fake_indices
    alone = np.concatenate([_run(session, square[None], fake) for square in squares])
    batched = np.concatenate([_run(session, np.stack(squares[i : i + 8]), fake) for i in range(0, image_count, 8)])
    figures = _measure(np.stack(reference), alone, batched, fake)
    result = ParityResult(
        images=image_count,
        pixel_difference=pixel_difference,
        tolerance=tolerance,
        logit_tolerance=logit_tolerance,
        **figures,
    )
    _judge(result)
    return result


def _measure(reference: Floats, alone: Floats, batched: Floats, fake: list[int]) -> dict[str, Any]:
    """The figures of `ParityResult` that compare (N, labels) log-probabilities."""
    p, p_alone, p_batched = (np.exp(values[:, fake]).sum(1) for values in (reference, alone, batched))
    dp = np.maximum(np.abs(p_alone - p), np.abs(p_batched - p))
    decided = np.abs(p - 0.5) > _FLIP_MARGIN
    return {
        "max_dp": float(dp.max()),
        "mean_dp": float(dp.mean()),
        "max_dlogit": float(np.abs(_log_odds(alone, fake) - _log_odds(reference, fake)).max()),
        "flipped": int((((p_alone > 0.5) != (p > 0.5)) & decided).sum()),
        "std_p": float(p.std()),
        "max_batch_dp": float(np.abs(p_alone - p_batched).max()),
    }


def _log_odds(log_probabilities: Floats, fake: list[int]) -> Floats:
    """log(P(fake) / P(not fake)), exact where one of them is tiny: log-probabilities keep what 1 - p would lose."""
    others = [i for i in range(log_probabilities.shape[1]) if i not in fake]
    return np.asarray(
        np.logaddexp.reduce(log_probabilities[:, fake], axis=1)
        - np.logaddexp.reduce(log_probabilities[:, others], axis=1)
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
    if not result.max_dlogit <= result.logit_tolerance:
        raise ParityError(
            f"max |d log-odds| = {result.max_dlogit:.3g} over {result.images} images exceeds the tolerance "
            f"{result.logit_tolerance:.3g}"
        )
    if result.flipped:
        raise ParityError(f"{result.flipped} of {result.images} decisions flipped")
    if not result.max_batch_dp <= max(BATCH_TOLERANCE, result.tolerance / 10):
        raise ParityError(f"an image's probability differs by {result.max_batch_dp:.3g} between batches")


def _session(onnx_path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, squares: NDArray[np.uint8], fake_indices: list[int]) -> Floats:
    """(N, labels) float64 log-probabilities from the graph, whose fake probability must be the sum it stands for."""
    status = np.zeros((len(squares), 1), np.int32)
    (softmax, fake) = session.run(["PROBABILITIES", "FAKE_PROBABILITY"], {"PIXELS": squares, "STATUS": status})
    if not (np.isfinite(softmax).all() and np.isfinite(fake).all()):
        raise ParityError("the graph gives probabilities that are not finite")
    if np.abs(fake[:, 0] - softmax[:, fake_indices].sum(1)).max() > BATCH_TOLERANCE:
        raise ParityError("the graph's fake probability is not the sum over the fake labels")
    # The smallest positive float stands for an underflow to 0.
    return np.asarray(np.log(np.maximum(softmax.astype(np.float64), np.finfo(np.float32).tiny)))


def _torch_log_probabilities(checkpoint: Checkpoint, image: Image.Image) -> Floats:
    """(labels,) float64 log-probabilities from PyTorch, over what the checkpoint's own processor makes of the image."""
    import torch

    with torch.inference_mode():
        logits = checkpoint.model(**checkpoint.processor(image, return_tensors="pt")).logits.double()
        tiny = float(np.log(np.finfo(np.float32).tiny))
        return np.asarray(logits.log_softmax(-1)[0].clamp(min=tiny).numpy())


def _pixel_difference(checkpoint: Checkpoint, image: Image.Image, square: NDArray[np.uint8]) -> int:
    theirs = checkpoint.processor(image, do_rescale=False, do_normalize=False, return_tensors="np").pixel_values[0]
    theirs = np.asarray(theirs).transpose(1, 2, 0)
    if theirs.shape != square.shape:
        return 255
    return int(np.abs(theirs.astype(np.int32) - square.astype(np.int32)).max())
