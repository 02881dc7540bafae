"""A full-size checkpoint to measure drift with where no trained one is at hand.

It has SigLIP2-base's architecture and seeded weights. Fresh weights are kinder to low precision than trained ones: all
biases are 0 and all weights of norms 1. Both are moved here, and the head is scaled so that the fake probabilities of
the drift list spread over (0, 1), since probabilities that are all near 0.5, or all near 0 and 1, hide a drift. Its
scores mean nothing, and a trained checkpoint can drift more or less than this one: measure it too.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from assets import default_cache_dir
from benchmark.drift_images import MANIFEST, make, read_manifest
from benchmark.face_crops import face_cropper
from benchmark.seeded_checkpoint import image_processor, scale_head, seeded_classifier, write_checkpoint

NAME = "spread-untrained"
_EVERY = 3  # the head is scaled on every third image of the list: enough for a spread, a third of the time
_NOTICE = "Untrained weights for measuring drift: these scores mean nothing."


def make_spread_checkpoint(
    folder: Path | None = None,
    images: Sequence[Path] | None = None,
    hidden_size: int = 768,
    layers: int = 12,
    seed: int = 0,
) -> Path:
    """Makes the checkpoint unless it is there already.

    Args:
        folder: The checkpoint's directory; by default one below the cache that is named after the list.
        images: Files on which the head is scaled; every third image of the drift list by default.
        hidden_size: Width; heads have 64 dimensions, the MLP is four times as wide. 768 is SigLIP2-base.
        layers: Depth; 12 is SigLIP2-base.
        seed: Of the weights.

    Returns:
        The directory, complete.
    """
    target = folder or _cached(hidden_size, layers, seed)
    if (target / "model.safetensors").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".spread-", dir=target.parent))
    try:
        chosen = list(images) if images is not None else make(scratch / "images", read_manifest()[::_EVERY])
        _write(scratch / NAME, _crops(chosen), hidden_size, layers, seed)
        (scratch / NAME).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _cached(hidden_size: int, layers: int, seed: int) -> Path:
    listed = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:8]
    return default_cache_dir() / "checkpoints" / f"{NAME}-{hidden_size}x{layers}-{seed}-{listed}"


def _crops(images: Sequence[Path]) -> list[Image.Image]:
    with face_cropper() as cropper:
        return [cropper.crop(path.read_bytes()).image for path in images]


def _write(target: Path, crops: Sequence[Image.Image], hidden_size: int, layers: int, seed: int) -> None:
    import torch

    processor = image_processor()
    model = _away_from_zero(seeded_classifier(hidden_size, layers, seed), seed)
    with torch.no_grad():
        batches = [processor(list(crops[i : i + 8]), return_tensors="pt") for i in range(0, len(crops), 8)]
        pooled = torch.cat([model.vision_model(batch.pixel_values).last_hidden_state.mean(1) for batch in batches])
        scale_head(model.classifier, pooled)
    write_checkpoint(target, model, NAME, _NOTICE)


def _away_from_zero(model: Any, seed: int) -> Any:
    """Moves biases from 0 and the weights of norms from 1, as training does."""
    import torch

    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
            elif "norm" in name and name.endswith("weight"):
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return model
