"""A small SigLIP image classifier that starts from texture filters.

It is for training on a CPU from nothing; a pretrained SigLIP2 is a better start where there is one. With random filters
a small vision transformer takes very long to find out that forgeries show in how sharp, noisy or compressed one region
is beside another. Bands of the discrete cosine transform say that from the first step.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import SiglipConfig, SiglipForImageClassification, SiglipImageProcessor

from training.errors import OptionError
from training.writing import whole_folder

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])  # ITU-T T.871 (JPEG)
_LOW = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))
_LUMA_BANDS = (0.9, 2.1, 3.2, 4.7, 6.6, 9.0, 12.0, 15.5, 22.0)
"""Edges in cycles per two patches, each octave in two: radii in the table of a 16 x 16 transform."""
_CHROMA_BANDS = (0.9, 4.0, 8.0, 22.0)
_LUMA_SHARE = 0.72
_NO_BAND = -1
_SPARE = 24
"""Channels without a filter: one constant, the others take the energies of the bands."""
_SLOPE = 2.0
"""Rectified pairs work on k x: gelu(k x) + gelu(-k x) is about k |x|."""


@dataclass(frozen=True)
class TextureFilters:
    """A bank of linear filters of a patch.

    Attributes:
        weights: (F, 3, P, P) float64 over RGB, unit norm before the conversion of colours.
        band: (F,) int64: filters of one number measure one band of frequencies of one channel; -1: single filters.
    """

    weights: NDArray[np.float64]
    band: NDArray[np.int64]


def texture_filters(count: int, patch_px: int, rng: np.random.Generator) -> TextureFilters:
    """Means, low frequencies, and random mixtures within bands of luma and chroma.

    Mixtures rather than single coefficients: the mean square of a few of them estimates the energy of a whole band.

    Args:
        count: How many; at least 40.
        patch_px: Side of a patch.
        rng: Mixes the coefficients.

    Raises:
        ValueError: Fewer than 40 filters.
    """
    if count < 40:
        raise ValueError(f"{count} filters are too few for all bands; take 40 or more")
    basis = _cosine_basis(patch_px)
    filters: list[tuple[int, NDArray[np.float64], int]] = [(channel, basis[0, 0], _NO_BAND) for channel in range(3)]
    filters += [(0, basis[u, v], _NO_BAND) for u, v in _LOW]
    filters += [(channel, basis[u, v], _NO_BAND) for channel in (1, 2) for u, v in _LOW[:3]]
    bands = len(_LUMA_BANDS) - 1
    per_band = int(_LUMA_SHARE * (count - len(filters))) // bands
    for band in range(bands):
        members = _members(basis, _LUMA_BANDS[band], _LUMA_BANDS[band + 1])
        filters += [(0, mixture, band) for mixture in _mixtures(members, per_band, rng)]
    places = [(channel, k) for k in range(len(_CHROMA_BANDS) - 1) for channel in (1, 2)]
    for i in range(count - len(filters)):
        channel, k = places[i % len(places)]
        members = _members(basis, _CHROMA_BANDS[k], _CHROMA_BANDS[k + 1])
        band = bands + (channel - 1) * (len(_CHROMA_BANDS) - 1) + k
        filters.append((channel, _mixtures(members, 1, rng)[0], band))
    weights = np.stack([_YCBCR[channel][:, None, None] * pattern for channel, pattern, _ in filters])
    return TextureFilters(weights, np.array([band for *_, band in filters], np.int64))


def _cosine_basis(patch_px: int) -> NDArray[np.float64]:
    """(P, P, P, P) float64: the orthonormal DCT-II patterns by vertical and horizontal frequency."""
    k = np.arange(patch_px)
    rows = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / (2 * patch_px)) * np.sqrt(2 / patch_px)
    rows[0] /= np.sqrt(2)
    return np.asarray(np.einsum("ui,vj->uvij", rows, rows), np.float64)


def _members(basis: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """(M, P, P): the patterns whose frequency lies in a ring, in units of a 16 px patch."""
    patch_px = len(basis)
    u, v = np.meshgrid(np.arange(patch_px), np.arange(patch_px), indexing="ij")
    radius = np.hypot(u, v) * 16 / patch_px
    return basis[(radius >= low) & (radius < high)]


def _mixtures(members: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Orthonormal random mixtures; no more than there are patterns."""
    mixing, _ = np.linalg.qr(rng.standard_normal((len(members), min(count, len(members)))))
    return [np.tensordot(column, members, 1) for column in mixing.T]


@dataclass(frozen=True)
class SmallModelSpec:
    """Size of the model.

    Attributes:
        hidden_size: Dimensions of a token; the MLP has four times as many.
        layers: Transformer layers.
        heads: Attention heads.
        image_px: Side of the input.
        patch_px: Side of a patch.
        seed: Seed of everything random.
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
    if target.exists():
        raise OptionError(f"{target} is there already; remove it or name another directory")
    if pixels.shape[1:] != (spec.image_px, spec.image_px, 3):
        raise OptionError(f"the pictures are {pixels.shape[1:]}, the model takes {spec.image_px} px squares")
    model = build_small_model(spec, pixels)
    with whole_folder(target) as scratch:
        model.save_pretrained(scratch)
        size = {"height": spec.image_px, "width": spec.image_px}
        SiglipImageProcessor(size=size, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(scratch)


def build_small_model(spec: SmallModelSpec, pixels: NDArray[np.uint8]) -> Any:
    """The untrained SiglipForImageClassification; arguments as for `write_small_model`."""
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
