"""The gate: an exported classifier must compute what the checkpoint computes, on images as varied as users'."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.checkpoint.head import Floats, Head
from export.checkpoint.load import Checkpoint
from export.errors import FlatScoresError, ParityError
from preprocessing import resize_to_square
from runtime import Classifier

_TORCH_BATCH = 8
LEAST_STD_P = 1e-3
"""Least standard deviation of the fake probability over the gate's pictures, which are as unlike as can be."""

_FLIP_MARGIN = 0.02  # decisions this close to 0.5 may fall either way
_IN_THREES = 24  # images that are run in batches of three as well: batches that no number of cores divides evenly
_SAME_LEVEL = 0.1  # grey levels: the processor rounds in fp32 after it has normalised
_SUM_TOLERANCE = 1e-6  # of the fake probability from what the probabilities of its labels make


@dataclass(frozen=True)
class Tolerance:
    """The promise of a precision.

    Attributes:
        max_dp: Largest |difference| of the fake probability of any image.
        mean_dp: Largest mean of the same.
        max_dlogit: Largest |difference| of the log-odds of fake. It shows a drift that a saturated model's
            probabilities hide.
        max_batch_dp: Largest |difference| of one image's probability between batches.
    """

    max_dp: float
    mean_dp: float
    max_dlogit: float
    max_batch_dp: float


TOLERANCES = {
    "fp32": Tolerance(max_dp=1e-5, mean_dp=1e-5, max_dlogit=1e-3, max_batch_dp=1e-6),
    "fp16": Tolerance(max_dp=0.002, mean_dp=0.001, max_dlogit=0.1, max_batch_dp=1e-3),
    "bf16": Tolerance(max_dp=0.007, mean_dp=0.003, max_dlogit=0.25, max_batch_dp=1e-3),
    "int8": Tolerance(max_dp=0.015, mean_dp=0.003, max_dlogit=0.5, max_batch_dp=1e-4),
}

_GPU_BATCH_DP = {"fp32": 1e-5}
_GPU_LOW_BATCH_DP = 2e-3
"""Room between batches on a GPU: each batch size has kernels of its own, which add in another order and so round
differently."""


def tolerance_of(precision: str, *, gpu: bool, max_dp: float | None = None) -> Tolerance:
    """What a precision promises on a CPU or on a GPU.

    Args:
        precision: A key of `TOLERANCES`.
        gpu: Where it runs.
        max_dp: A limit in place of the precision's own, of the largest and of the mean |dp|.
    """
    promised = TOLERANCES[precision]
    if gpu:
        room = _GPU_BATCH_DP.get(precision, _GPU_LOW_BATCH_DP)
        promised = replace(promised, max_batch_dp=max(promised.max_batch_dp, room))
    return promised if max_dp is None else replace(promised, max_dp=max_dp, mean_dp=max_dp)


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
        max_batch_dp: Largest |difference| of one image's probability alone and in larger batches and, for some, of 3.
        tolerance: The declared limits.
    """

    images: int
    max_dp: float
    mean_dp: float
    max_dlogit: float
    flipped: int
    std_p: float
    max_batch_dp: float
    tolerance: Tolerance


@dataclass(frozen=True)
class Reference:
    """What PyTorch makes of the gate's images.

    Attributes:
        squares: (N, S, S, 3) uint8, RGB: our pixels of each image.
        log_probabilities: (N, labels) float64: PyTorch's, from what the checkpoint's own processor makes of each image.
        head: What is made of its logits.
    """

    squares: NDArray[np.uint8]
    log_probabilities: Floats
    head: Head

    def first(self, count: int) -> "Reference":
        """The same for the first images only."""
        return replace(self, squares=self.squares[:count], log_probabilities=self.log_probabilities[:count])


def make_reference(
    checkpoint: Checkpoint,
    images: Iterable[Image.Image],
    progress: Callable[[int], None] = lambda _done: None,
) -> Reference:
    """Runs the checkpoint in PyTorch, in fp32, over RGB images.

    Args:
        checkpoint: The loaded checkpoint.
        images: RGB images of any size.
        progress: Called with the number of images done.

    Raises:
        ParityError: Our resize gives other pixels than the checkpoint's own image processor.
    """
    squares: list[NDArray[np.uint8]] = []
    reference: list[Floats] = []
    remaining = iter(images)
    while batch := list(islice(remaining, _TORCH_BATCH)):
        resized = np.stack([resize_to_square(np.asarray(image), checkpoint.resize) for image in batch])
        values = checkpoint.processor(batch, return_tensors="pt")["pixel_values"]
        _require_same_pixels(checkpoint, values.numpy(), resized)
        squares.extend(resized)
        reference.append(_torch_log_probabilities(checkpoint, values))
        progress(len(squares))
    return Reference(np.stack(squares), np.concatenate(reference), checkpoint.head)


def require_moving_scores(reference: Reference) -> None:
    """Refuses a model that says the same of every picture.

    Raises:
        FlatScoresError: The standard deviation of its fake probability is below `LEAST_STD_P`.
    """
    std_p = float(reference.head.fake_probability(np.exp(reference.log_probabilities)).std())
    if not std_p >= LEAST_STD_P:
        raise FlatScoresError(
            f"the model says nearly the same of {len(reference.squares)} varied pictures: the standard deviation of p "
            f"is {std_p:.2g}, below {LEAST_STD_P:g}. Its weights may be damaged or untrained. To serve it all the "
            "same: deepfake-export --allow-flat-scores or make serve DEEPFAKE_ALLOW_FLAT_SCORES=true"
        )


def check_parity(
    classifier: Classifier, reference: Reference, tolerance: Tolerance, batches: Sequence[int] = (8,)
) -> ParityResult:
    """Compares an exported classifier with PyTorch.

    Args:
        classifier: What is judged.
        reference: What PyTorch makes of the images.
        tolerance: The declared limits.
        batches: Sizes in which all images are run, beside one by one.

    Raises:
        ParityError: A figure is out of bounds; the message names it.
    """
    head, squares = reference.head, reference.squares
    alone = _run_alone(classifier, reference, tolerance)
    sizes = [*((size, len(squares)) for size in batches), (3, _IN_THREES)]
    batched = [_run_in_batches(classifier, squares[:count], size, head) for size, count in sizes]
    _check_marked(classifier, squares[:3], alone[:3], head, tolerance)
    result = ParityResult(
        images=len(squares), tolerance=tolerance, **_measure(reference.log_probabilities, alone, batched, head)
    )
    figures = (
        ("max |dp|", result.max_dp, tolerance.max_dp),
        ("mean |dp|", result.mean_dp, tolerance.mean_dp),
        ("max |d log-odds|", result.max_dlogit, tolerance.max_dlogit),
        ("max |dp| between batches", result.max_batch_dp, tolerance.max_batch_dp),
    )
    _require_within(result.images, figures)
    if result.flipped:
        raise ParityError(f"{result.flipped} of {result.images} decisions flipped")
    return result


def _run_alone(classifier: Classifier, reference: Reference, tolerance: Tolerance) -> Floats:
    """(N, labels) log-probabilities of the images one by one; the first image that drifts too far ends it.

    Raises:
        ParityError: An image drifts further than the tolerance allows any.
    """
    head = reference.head
    alone: list[Floats] = []
    for i in range(len(reference.squares)):
        alone.append(_run(classifier, reference.squares[i : i + 1], head))
        measured = _measure(reference.log_probabilities[i : i + 1], alone[-1], [], head)
        _require_within(
            i + 1,
            (
                ("max |dp|", measured["max_dp"], tolerance.max_dp),
                ("max |d log-odds|", measured["max_dlogit"], tolerance.max_dlogit),
            ),
        )
    return np.concatenate(alone)


def _measure(reference: Floats, alone: Floats, batched: list[Floats], head: Head) -> dict[str, Any]:
    """The figures of `ParityResult` that compare (N, labels) log-probabilities."""
    p, p_alone, *p_batched = (head.fake_probability(np.exp(values)) for values in (reference, alone, *batched))
    dp = np.abs(p_alone - p)
    for values in p_batched:
        dp[: len(values)] = np.maximum(dp[: len(values)], np.abs(values - p[: len(values)]))
    decided = np.abs(p - 0.5) > _FLIP_MARGIN
    return {
        "max_dp": float(dp.max()),
        "mean_dp": float(dp.mean()),
        "max_dlogit": float(np.abs(head.log_odds(alone) - head.log_odds(reference)).max()),
        "flipped": int((((p_alone > 0.5) != (p > 0.5)) & decided).sum()),
        "std_p": float(p.std()),
        "max_batch_dp": float(max((np.abs(p_alone[: len(v)] - v).max() for v in p_batched), default=0.0)),
    }


def _require_within(images: int, figures: Sequence[tuple[str, float, float]]) -> None:
    """Each figure is a name, a value and its limit; NaN is over any limit."""
    for name, value, limit in figures:
        if not value <= limit:
            raise ParityError(f"{name} = {value:.3g} over {images} images exceeds the tolerance {limit:.3g}")


def _check_marked(
    classifier: Classifier, squares: NDArray[np.uint8], alone: Floats, head: Head, tolerance: Tolerance
) -> None:
    """An image that was not decoded gets NaN, and its neighbours what they get without it."""
    status = np.zeros((len(squares), 1), np.int32)
    status[len(squares) // 2] = 6
    answer = classifier.run(squares, status)
    marked = status[:, 0] != 0
    if not (np.isnan(answer.fake_probability[marked]).all() and np.isnan(answer.probabilities[marked]).all()):
        raise ParityError("the graph gives a probability to an image that was not decoded")
    expected = head.fake_probability(np.exp(alone[~marked]))
    if not (np.abs(answer.fake_probability[~marked, 0] - expected) <= tolerance.max_batch_dp).all():
        raise ParityError("an image that was not decoded changes the scores of its neighbours")


def _run_in_batches(classifier: Classifier, squares: NDArray[np.uint8], size: int, head: Head) -> Floats:
    return np.concatenate([_run(classifier, squares[i : i + size], head) for i in range(0, len(squares), size)])


def _run(classifier: Classifier, squares: NDArray[np.uint8], head: Head) -> Floats:
    """(N, labels) float64 log-probabilities, whose fake probability must be what the head makes of them."""
    answer = classifier.run(squares, np.zeros((len(squares), 1), np.int32))
    each, fake = answer.probabilities, answer.fake_probability
    if not (np.isfinite(each).all() and np.isfinite(fake).all()):
        raise ParityError("the graph gives probabilities that are not finite")
    if np.abs(fake[:, 0] - head.fake_probability(each)).max() > _SUM_TOLERANCE:
        raise ParityError("the graph's fake probability is not what its fake labels make")
    # The smallest positive float stands for an underflow to 0.
    return np.asarray(np.log(np.maximum(each.astype(np.float64), np.finfo(np.float32).tiny)))


def _torch_log_probabilities(checkpoint: Checkpoint, values: Any) -> Floats:
    """(N, labels) float64 from PyTorch, over (N, 3, S, S) float32 of the checkpoint's own processor."""
    import torch

    with torch.inference_mode():
        logits = checkpoint.model(pixel_values=values).logits.double()
    tiny = float(np.log(np.finfo(np.float32).tiny))
    return np.maximum(checkpoint.head.log_probabilities(logits.numpy()), tiny)


def _require_same_pixels(checkpoint: Checkpoint, theirs: Floats, squares: NDArray[np.uint8]) -> None:
    how = checkpoint.normalisation
    ours, step = how.applied(squares), np.array(how.gain)[None, :, None, None]
    same_shape = theirs.shape == ours.shape
    difference = float((np.abs(theirs - ours) / step).max()) if same_shape else 255.0
    if not difference < _SAME_LEVEL:
        raise ParityError(
            f"our resize differs from the checkpoint's image processor by {difference:.3g} grey levels: "
            "this processor is not supported"
        )
