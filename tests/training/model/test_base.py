"""Of the base a head alone may be missing: other weights that are made up would train to little without a word."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.export import checkpoints
from training.errors import OptionError
from training.model.base import find_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return checkpoints.siglip(tmp_path / "base", {0: "cat", 1: "dog", 2: "cow"})


def without(base: Path, part: str) -> str:
    weights = load_file(base / "model.safetensors")
    save_file(
        {name: w for name, w in weights.items() if part not in name}, base / "model.safetensors", {"format": "pt"}
    )
    return str(base)


def test_a_head_of_other_labels_or_none_is_made_anew(base: Path) -> None:
    assert find_base(str(base)).load().classifier.out_features == 2
    assert find_base(without(base, "classifier")).load().classifier.out_features == 2


def test_a_backbone_with_missing_weights_is_refused_by_their_names(base: Path) -> None:
    with pytest.raises(OptionError, match=r"missing or of another shape: vision_model.encoder.layers.0.mlp.fc1.bias"):
        find_base(without(base, "mlp")).load()


def test_one_of_another_shape_is_refused(base: Path) -> None:
    weights = load_file(base / "model.safetensors")
    name = "vision_model.embeddings.position_embedding.weight"
    save_file({**weights, name: torch.zeros(4, 32)}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(OptionError, match=f"another shape: {name}"):
        find_base(str(base)).load()


def test_a_base_for_several_labels_an_image_becomes_one_for_one(tmp_path: Path) -> None:
    labels = {0: "Fake", 1: "Real"}
    base = checkpoints.siglip(tmp_path / "base", labels, problem_type="multi_label_classification")
    found = find_base(str(base))
    assert found.new_head
    assert found.load().config.problem_type is None
