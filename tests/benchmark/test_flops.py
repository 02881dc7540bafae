"""How much the model computes, from its config."""

import json
from pathlib import Path

import pytest

from benchmark.parts.flops import VisionShape


def test_siglip2_base_takes_34_94_gflop(tmp_path: Path) -> None:
    # Its published config leaves out what are SigLIP's defaults.
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": {"image_size": 224}}))
    shape = VisionShape.load(tmp_path)
    assert shape.tokens == 196
    assert shape.flop_per_image / 1e9 == pytest.approx(34.94, abs=0.005)


def test_products_follow_the_config(tmp_path: Path) -> None:
    vision = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {**vision, "image_size": 32}}))
    shape = VisionShape.load(tmp_path)
    weights = 2 * 4 * (768 * 64 + 2 * (64 * 192 + 64 * 64 + 2 * 64 * 256))
    attention = 2 * 2 * (2 * 4 * 4 * 64)
    assert shape.flop_per_image == weights + attention
