"""A small SigLIP image classifier that starts from texture filters: `write_small_model`.

For training on a CPU, from nothing, where no pretrained SigLIP2 is at hand. It is not a better start than a pretrained
model where there is one.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.embedded.texture_filters import TextureFilters, texture_filters
from training.errors import OptionError

_SPARE = 24
"""Channels without a filter: one constant, the others take the energies of the bands."""
_SLOPE = 2.0
"""Rectified pairs work on k x: gelu(k x) + gelu(-k x) is about k |x|."""


@dataclass(frozen=True)
class SmallModelSpec:
    """Size of the model.

    Attributes:
        hidden_size: Dimensions of a token; the MLP has four times as many.
        layers: Transformer layers.
        heads: Attention heads.
        image_px: Side of the input.
        patch_px: Side of a patch.
        seed: Of everything drawn.
    """

    hidden_size: int = 160
    layers: int = 4
    heads: int = 4
    image_px: int = 224
    patch_px: int = 16
    seed: int = 0


def write_small_model(target: Path, spec: SmallModelSpec, pixels: NDArray[np.uint8]) -> None:
    """Writes an untrained classifier with its image processor, labels 0 = Fake and 1 = Real.

    Args:
        target: Directory to write; must not be there.
        spec: Its size.
        pixels: (N, S, S, 3) uint8, RGB, 0-255: natural pictures, on which the filters' outputs get unit variance.

    Raises:
        OptionError: The directory is there, or the size does not fit.
    """
    from transformers import SiglipImageProcessor

    if target.exists():
        raise OptionError(f"{target} is there already; remove it or name another directory")
    if pixels.shape[1:] != (spec.image_px, spec.image_px, 3):
        raise OptionError(f"the pictures are {pixels.shape[1:]}, the model takes {spec.image_px} px squares")
    model = build_small_model(spec, pixels)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        model.save_pretrained(scratch)
        size = {"height": spec.image_px, "width": spec.image_px}
        SiglipImageProcessor(size=size, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def build_small_model(spec: SmallModelSpec, pixels: NDArray[np.uint8]) -> Any:
    """The untrained SiglipForImageClassification; arguments as for `write_small_model`."""
    import torch
    from transformers import SiglipConfig, SiglipForImageClassification

    if spec.hidden_size % spec.heads or spec.hidden_size < _SPARE + 40:
        raise OptionError(
            f"hidden_size {spec.hidden_size} must be a multiple of {spec.heads} and {_SPARE + 40} or more"
        )
    vision = {
        "hidden_size": spec.hidden_size,
        "intermediate_size": 4 * spec.hidden_size,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "patch_size": spec.patch_px,
        "image_size": spec.image_px,
        "vision_use_head": False,
    }
    torch.manual_seed(spec.seed)
    config = SiglipConfig(vision_config=vision, id2label={0: "Fake", 1: "Real"}, label2id={"Fake": 0, "Real": 1})
    model = SiglipForImageClassification(config).eval()
    bank = texture_filters(spec.hidden_size - _SPARE, spec.patch_px, np.random.default_rng(spec.seed))
    with torch.no_grad():
        _start_embedding(model.vision_model.embeddings, bank, pixels)
        _start_first_layer(model.vision_model.encoder.layers[0], bank)
    return model


def _start_embedding(embeddings: Any, bank: TextureFilters, pixels: NDArray[np.uint8]) -> None:
    """The filters, centred and of unit variance on the given pictures; then a constant 1; then nothing."""
    import torch

    count, patch_px = len(bank.weights), bank.weights.shape[-1]
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 127.5 - 1
    weights = torch.from_numpy(bank.weights)
    outputs = torch.nn.functional.conv2d(values, weights, stride=patch_px)
    mean, spread = outputs.mean((0, 2, 3)), outputs.std((0, 2, 3)).clamp(min=1e-4)
    convolution = embeddings.patch_embedding
    convolution.weight.zero_()
    convolution.bias.zero_()
    convolution.weight[:count] = (weights / spread[:, None, None, None]).float()
    convolution.bias[:count] = (-mean / spread).float()
    convolution.bias[count] = 1.0
    embeddings.position_embedding.weight.normal_(0, 0.05)


def _start_first_layer(layer: Any, bank: TextureFilters) -> None:
    """Rectified pairs of each filter, added up by band in the spare channels: the energy of the band in the patch."""
    count = len(bank.weights)
    expand, contract = layer.mlp.fc1, layer.mlp.fc2
    layer.self_attn.out_proj.weight.mul_(0.3)
    contract.weight.mul_(0.3)
    expand.weight[: 2 * count].zero_()
    expand.bias[: 2 * count].zero_()
    for i in range(count):
        expand.weight[2 * i, i] = _SLOPE
        expand.weight[2 * i + 1, i] = -_SLOPE
    bands = range(int(bank.band.max()) + 1)
    for channel, band in zip(range(count + 1, count + _SPARE), bands, strict=False):
        members = np.flatnonzero(bank.band == band)
        for i in members:
            contract.weight[channel, 2 * i : 2 * i + 2] = 1.5 / (_SLOPE * len(members) ** 0.5)
