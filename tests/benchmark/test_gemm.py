"""How much the model computes, from its config, and the ceiling of the machine."""

import json
from pathlib import Path

import pytest

from benchmark.gemm import Product, ceiling_flops, products_of


def test_siglip2_base_takes_34_94_gflop(tmp_path: Path) -> None:
    # Its published config leaves out what are SigLIP's defaults.
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": {"image_size": 224}}))
    products, flop_per_image = products_of(tmp_path)
    assert products[0].rows == 196
    assert flop_per_image / 1e9 == pytest.approx(34.94, abs=0.005)


def test_products_follow_the_config(tmp_path: Path) -> None:
    vision = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {**vision, "image_size": 32}}))
    weights = 2 * 4 * (768 * 64 + 2 * (64 * 192 + 64 * 64 + 2 * 64 * 256))
    attention = 2 * 2 * (2 * 4 * 4 * 64)
    assert products_of(tmp_path)[1] == weights + attention


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_ceiling_of_one_product(precision: str) -> None:
    assert ceiling_flops([Product(64, 64, 64, 1)], precision) > 1e6
