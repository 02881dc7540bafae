"""A checkpoint's own answers in PyTorch, over the pixels that preprocessing makes: what exports are compared with."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets import FACE_MODELS, fetch_assets
from export.checkpoint.load import Checkpoint
from preprocessing import FaceDetector, Preparer, PreprocessParams, View

_BATCH = 16


@contextmanager
def open_preparer(
    checkpoint: Checkpoint,
    *,
    face_detection: bool = True,
    face_detector: FaceDetector = FaceDetector.DIRECT,
    further_views: tuple[View, ...] = (),
    cache_dir: Path | None = None,
) -> Iterator[Preparer]:
    """Prepares images as a release of this checkpoint does.

    Args:
        checkpoint: Its resize and crop factor count.
        face_detection: Off: the whole image is taken.
        face_detector: What runs the face models.
        further_views: What other checkpoints are given.
        cache_dir: Where the face models are kept; the assets' own default if None.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    params = PreprocessParams(
        resize=checkpoint.resize,
        face_detection=face_detection,
        face_detector=face_detector,
        crop_factor=checkpoint.sidecar.crop_factor,
        further_views=further_views,
    )
    models = next(iter(fetch_assets(FACE_MODELS, cache_dir).values())).parent if face_detection else Path()
    with closing(Preparer(params, models)) as preparer:
        yield preparer


def torch_logits(checkpoint: Checkpoint, squares: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The model's logits in fp32.

    Args:
        checkpoint: The loaded checkpoint.
        squares: (N, S, S, 3) uint8, RGB, from a preparer.

    Returns:
        (N, outputs) float64.
    """
    import torch

    rows = []
    with torch.inference_mode():
        for start in range(0, len(squares), _BATCH):
            values = torch.from_numpy(checkpoint.normalisation.applied(squares[start : start + _BATCH]))
            rows.append(checkpoint.model(pixel_values=values).logits.double().numpy())
    return np.concatenate(rows)


def fake_probabilities(checkpoint: Checkpoint, squares: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,) float64 within 0-1 of (N, S, S, 3) uint8 pixels from a preparer, by the model in fp32."""
    head = checkpoint.head
    p = head.fake_probability(np.exp(head.log_probabilities(torch_logits(checkpoint, squares))))
    return np.asarray(p, dtype=np.float64)
