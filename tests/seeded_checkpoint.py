"""SigLIP image classifiers with seeded weights: real architecture and cost, and scores that mean nothing.

Tests use small ones. One of full size costs what the default model costs, so it can be measured where that one cannot
be had: `python -m tests.seeded_checkpoint DIR`, then `deepfake-bench run --checkpoint DIR`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "seeded-untrained"
NOTICE = "Untrained weights: these scores mean nothing."
LOG_ODDS_STD = 2.5
"""Standard deviation of the log-odds of fake over the images that a head is scaled on."""


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
    classifier = model.classifier
    with torch.no_grad():
        pixels = torch.from_numpy(_smooth_noise(np.random.default_rng(seed), 16))
        pooled = model.vision_model(pixels).last_hidden_state.mean(1)
        difference = (pooled - pooled.mean(0)) @ (classifier.weight[0] - classifier.weight[1])
        classifier.weight.mul_(LOG_ODDS_STD / difference.std())
        classifier.bias.copy_(-(pooled.mean(0) @ classifier.weight.T))
    model.save_pretrained(target)
    image_processor().save_pretrained(target)
    sidecar = {"name": NAME, "trained": False, "notice": NOTICE}
    (target / "deepfake.json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


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


def _smooth_noise(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """(count, 3, 224, 224) float32 within -1..1: blocks of colour of several sizes."""
    images = []
    for i in range(count):
        cells = (1, 2, 4, 7, 14, 28, 56, 112)[i % 8]
        images.append(np.kron(rng.uniform(-1, 1, (3, cells, cells)), np.ones((1, 224 // cells, 224 // cells))))
    return np.stack(images).astype(np.float32)


if __name__ == "__main__":
    make_untrained_checkpoint(Path(sys.argv[1]))
