"""SigLIP image classifiers with seeded weights: real architecture and cost, and scores that mean nothing.

Tests use small ones. The benchmark uses one of full size where no trained model is at hand. Fresh weights are kinder to
low precision than trained ones, since all biases are 0 and all weights of norms 1; `make_spread_checkpoint` moves both.
A trained checkpoint can drift more or less than that one: measure it too.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "seeded-untrained"
NOTICE = "Untrained weights: these scores mean nothing."
LOG_ODDS_STD = 2.5
"""Standard deviation of the log-odds of fake over the images that a head is scaled on."""

_EVERY = 3  # the head is scaled on every third image of the drift list: enough for a spread, a third of the time


def make_untrained_checkpoint(target: Path, hidden_size: int = 768, layers: int = 12, seed: int = 0) -> None:
    """Writes a SigLIP image classifier whose scores spread over (0, 1).

    Args:
        target: Directory to write.
        hidden_size: Width; heads have 64 dimensions, the MLP is four times as wide. 768 is SigLIP2-base.
        layers: Depth; 12 is SigLIP2-base.
        seed: Of the weights.
    """
    import torch

    model = _seeded_classifier(hidden_size, layers, seed)
    pixels = torch.from_numpy(_smooth_noise(np.random.default_rng(seed), 16))
    _write(target, model, pixels, NAME, NOTICE)


def make_spread_checkpoint(
    target: Path, images: Sequence[Path] | None = None, hidden_size: int = 768, layers: int = 12, seed: int = 0
) -> Path:
    """Writes a classifier to measure drift with, unless it is there already.

    The fake probabilities of the drift list spread over (0, 1): probabilities that are all near 0.5, or all near 0 and
    1, hide a drift.

    Args:
        target: Directory to write.
        images: Files on which the head is scaled; every third image of the drift list by default.
        hidden_size: As above, like `layers` and `seed`.
        layers: Depth.
        seed: Of the weights.

    Returns:
        The directory, complete.
    """
    import torch

    from benchmark.drift import face_crops
    from benchmark.drift_images import make_images, read_list

    if (target / "model.safetensors").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".spread-", dir=target.parent))
    try:
        chosen = images or make_images(scratch / "images", read_list()[::_EVERY])
        model = _away_from_zero(_seeded_classifier(hidden_size, layers, seed), seed)
        crops = [crop.image for crop in face_crops([path.read_bytes() for path in chosen])]
        pixels = torch.cat([image_processor()(crop, return_tensors="pt").pixel_values for crop in crops])
        _write(scratch / NAME, model, pixels, "spread-untrained", NOTICE)
        (scratch / NAME).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def image_processor() -> Any:
    """SigLIP2-base's: 224 x 224, bilinear, mean and standard deviation 0.5."""
    from transformers import SiglipImageProcessor

    return SiglipImageProcessor(
        size={"height": 224, "width": 224}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def _seeded_classifier(hidden_size: int, layers: int, seed: int) -> Any:
    """A SiglipForImageClassification for 224 px images with labels Fake and Real."""
    import torch
    from transformers import SiglipConfig, SiglipForImageClassification

    vision = {
        "hidden_size": hidden_size,
        "intermediate_size": 4 * hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": max(hidden_size // 64, 1),
        "patch_size": 16,
        "image_size": 224,
    }
    torch.manual_seed(seed)
    config = SiglipConfig(vision_config=vision, id2label={0: "Fake", 1: "Real"}, label2id={"Fake": 0, "Real": 1})
    return SiglipForImageClassification(config).eval()


def _write(target: Path, model: Any, pixels: Any, name: str, notice: str) -> None:
    """Scales the head on images, and writes model, processor and the sidecar that says that it is untrained.

    Args:
        target: Directory to write.
        model: Changed in place: the log-odds of fake get a mean of 0 and a standard deviation of `LOG_ODDS_STD`.
        pixels: (N, 3, 224, 224) float32, the images as the image processor makes them.
        name: Of the model.
        notice: What to know about its scores.
    """
    import torch

    classifier = model.classifier
    with torch.no_grad():
        pooled = torch.cat([model.vision_model(batch).last_hidden_state.mean(1) for batch in pixels.split(16)])
        difference = (pooled - pooled.mean(0)) @ (classifier.weight[0] - classifier.weight[1])
        classifier.weight.mul_(LOG_ODDS_STD / difference.std())
        classifier.bias.copy_(-(pooled.mean(0) @ classifier.weight.T))
    model.save_pretrained(target)
    image_processor().save_pretrained(target)
    sidecar = {"name": name, "trained": False, "notice": notice}
    (target / "deepfake.json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


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


def _smooth_noise(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """(count, 3, 224, 224) float32 within -1..1: blocks of colour of several sizes."""
    images = []
    for i in range(count):
        cells = (1, 2, 4, 7, 14, 28, 56, 112)[i % 8]
        images.append(np.kron(rng.uniform(-1, 1, (3, cells, cells)), np.ones((1, 224 // cells, 224 // cells))))
    return np.stack(images).astype(np.float32)
