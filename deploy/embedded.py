"""The embedded checkpoint: what the local deployment serves where the hub cannot be reached.

Until a trained one exists it is a model of SigLIP2-base's size with seeded weights. It exercises every part of the
service at its real cost, and its scores mean nothing: its name, its notice and `trained: false` say so everywhere.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAME = "embedded-untrained"
NOTICE = "Untrained weights: these scores mean nothing. The hub could not be reached; set CHECKPOINT to a real model."


def ensure_embedded_checkpoint(folder: Path) -> Path:
    """Makes the checkpoint unless it is there already.

    Args:
        folder: Parent directory.

    Returns:
        The checkpoint's directory, complete.
    """
    target = folder / NAME
    if (target / "model.safetensors").is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".embedded-", dir=folder))
    try:
        make_untrained_checkpoint(scratch / NAME)
        (scratch / NAME).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def make_untrained_checkpoint(target: Path, hidden_size: int = 768, layers: int = 12, seed: int = 0) -> None:
    """Writes a SigLIP image classifier with seeded weights whose scores spread over (0, 1).

    Args:
        target: Directory to write.
        hidden_size: Width; heads have 64 dimensions, the MLP is four times as wide. 768 is SigLIP2-base.
        layers: Depth; 12 is SigLIP2-base.
        seed: Of the weights.
    """
    import torch
    from transformers import SiglipConfig, SiglipForImageClassification, SiglipImageProcessor

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
    model = SiglipForImageClassification(config).eval()
    pixels = torch.from_numpy(_smooth_noise(np.random.default_rng(seed), 16))
    with torch.no_grad():
        # The head is scaled so that the log-odds have a standard deviation of 2.5 over these images.
        pooled = model.vision_model(pixels).last_hidden_state.mean(1)
        difference = (pooled - pooled.mean(0)) @ (model.classifier.weight[0] - model.classifier.weight[1])
        model.classifier.weight.mul_(2.5 / difference.std())
        model.classifier.bias.copy_(-(pooled.mean(0) @ model.classifier.weight.T))
    model.save_pretrained(target)
    SiglipImageProcessor(
        size={"height": 224, "width": 224}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(target)
    sidecar = {"name": NAME, "trained": False, "notice": NOTICE}
    (target / "deepfake.json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


def _smooth_noise(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """(count, 3, 224, 224) float32 within -1..1: blocks of colour of several sizes."""
    images = []
    for i in range(count):
        cells = (1, 2, 4, 7, 14, 28, 56, 112)[i % 8]
        images.append(np.kron(rng.uniform(-1, 1, (3, cells, cells)), np.ones((1, 224 // cells, 224 // cells))))
    return np.stack(images).astype(np.float32)
