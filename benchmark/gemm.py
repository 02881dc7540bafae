"""The classifier against the machine's own limit: how fast oneDNN multiplies matrices of the model's shapes."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.release import read_release
from runtime import load_classifier, usable_cores

_BATCHES = (1, 2, 8)
_CLASSIFIER_BATCHES = (8, 16, 30)
_SPELL_S = 0.2


@dataclass(frozen=True)
class Product:
    """A matrix product of one image, (rows, inner) x (inner, columns), done `count` times."""

    rows: int
    inner: int
    columns: int
    count: int

    @property
    def flop(self) -> int:
        """Multiplications and additions of all of them."""
        return 2 * self.rows * self.inner * self.columns * self.count


def products_of(checkpoint: Path) -> tuple[list[Product], int]:
    """What a SigLIP image classifier multiplies, from its config.json; sizes it leaves out are SigLIP2-base's.

    Returns:
        The products with weights: patches, q k v, attention's output, both of the MLP. And the operations of an image
        in all, attention's own products (q k^T, and the values) among them; nothing else is counted.
    """
    from transformers import SiglipConfig

    vision: Any = SiglipConfig.from_pretrained(checkpoint).vision_config
    hidden, layers, mlp, patch = (
        vision.hidden_size, vision.num_hidden_layers, vision.intermediate_size, vision.patch_size,
    )  # fmt: skip
    tokens = (vision.image_size // patch) ** 2
    with_weights = [
        Product(tokens, 3 * patch**2, hidden, 1),
        Product(tokens, hidden, 3 * hidden, layers),
        Product(tokens, hidden, hidden, layers),
        Product(tokens, hidden, mlp, layers),
        Product(tokens, mlp, hidden, layers),
    ]
    attention = Product(tokens, hidden, tokens, 2 * layers)  # of all heads together
    return with_weights, attention.flop + sum(product.flop for product in with_weights)


def ceiling_flops(products: Sequence[Product], precision: str) -> float:
    """FLOP/s of the products in their proportions on all cores, each at its quickest batch."""
    time_s = sum(product.count * min(_time_s(product, batch, precision) for batch in _BATCHES) for product in products)
    return sum(product.flop for product in products) / time_s


def classifier_rate(release: Path, seconds: float) -> float:
    """Images a second of the release's classifier without a server, on random pixels, at the best batch."""
    side_px = read_release(release).info.preprocess.resize.size_px
    rates = []
    with closing(load_classifier(release / "model_repository" / "classifier" / "1")) as classifier:
        for batch in _CLASSIFIER_BATCHES:
            pixels = np.random.default_rng(0).integers(0, 256, (batch, side_px, side_px, 3), np.uint8)
            status = np.zeros((batch, 1), np.int32)
            rates.append(batch / float(_timed(partial(classifier.run, pixels, status), seconds).mean))
    return max(rates)


def _time_s(product: Product, batch: int, precision: str) -> float:
    """Seconds of one product for one image, in a batch of so many; of the quickest of many calls."""
    import torch

    rows = batch * product.rows
    if precision == "int8":
        call = _int8_call(rows, product)
    else:
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        layer = torch.nn.Linear(product.inner, product.columns).to(dtype)
        call = partial(layer, torch.randn(rows, product.inner).to(dtype))
    return float(min(_timed(call, _SPELL_S).times) / batch)


def _timed(call: Callable[[], Any], seconds: float) -> Any:
    """PyTorch's `Measurement` of calls during so many seconds, on all cores."""
    import torch
    from torch.utils.benchmark import Timer

    with torch.inference_mode():
        return Timer("call()", globals={"call": call}, num_threads=usable_cores()).blocked_autorange(
            min_run_time=seconds
        )


def _int8_call(rows: int, product: Product) -> Any:
    """OneDNN's quantised product: u8 activations, symmetric weights, bf16 out."""
    import torch

    weights = torch.randint(-127, 127, (product.columns, product.inner), dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weights, [rows, product.inner])
    values = torch.randint(0, 255, (rows, product.inner), dtype=torch.uint8)
    scales, zeros = torch.full((product.columns,), 0.01), torch.zeros(product.columns, dtype=torch.int64)
    return lambda: torch.ops.onednn.qlinear_pointwise(
        values, 0.02, 128, packed, scales, zeros, None, 1.0, 0, torch.bfloat16, "none", [], ""
    )
