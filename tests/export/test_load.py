"""Checkpoints that load without a word of complaint and would score wrongly are refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import load_checkpoint
from export.errors import CheckpointError
from tests.export.checkpoints import siglip

FAKE_REAL = {0: "Fake", 1: "Real"}


def load(path: Path) -> None:
    load_checkpoint(LocatedCheckpoint(path, path.name))


def with_config(path: Path, **changes: Any) -> None:
    file = path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")


def with_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def test_a_checkpoint_as_it_was_saved_loads(tmp_path: Path) -> None:
    load(siglip(tmp_path / "model", FAKE_REAL))


def test_a_head_that_is_missing_is_not_made_up(tmp_path: Path) -> None:
    path = siglip(tmp_path / "model", FAKE_REAL)

    def behead(weights: dict[str, torch.Tensor]) -> None:
        del weights["classifier.weight"], weights["classifier.bias"]

    with_weights(path, behead)
    with pytest.raises(CheckpointError, match=r"weights do not fit .*; missing: classifier.bias, classifier.weight$"):
        load(path)


def test_weights_that_belong_to_nothing_are_named(tmp_path: Path) -> None:
    path = siglip(tmp_path / "model", FAKE_REAL)
    with_weights(path, lambda weights: weights.update({f"extra.{i}": torch.zeros(1) for i in range(5)}))
    with pytest.raises(CheckpointError, match=r"unexpected: extra.0, extra.1, extra.2 and 2 more"):
        load(path)


def test_a_head_of_another_width_is_refused(tmp_path: Path) -> None:
    path = siglip(tmp_path / "model", FAKE_REAL)
    labels = {0: "Fake", 1: "Real", 2: "AI"}
    with_config(path, id2label=labels, label2id={name: number for number, name in labels.items()})
    with pytest.raises(CheckpointError, match=r"classifier"):
        load(path)
