"""What is fetched of a repository of the hub: the checkpoint, and nothing that lies beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import load_checkpoint
from tests.export import checkpoints
from tests.export.hub_server import COMMIT, NAME, hub_of
from tests.service import ROOT

_LOCATE = "from export.checkpoint.hub import locate_checkpoint; print(locate_checkpoint({name!r}).path)"


def located(hub: str, home: Path) -> Path:
    """Finds the repository in a process of its own, which reads the hub's address when it starts."""
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", _LOCATE.format(name=NAME)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """As trainers push it: states of the training and other formats lie beside the checkpoint."""
    path = checkpoints.siglip(tmp_path / "repository", {0: "Fake", 1: "Real"})
    for state in ("checkpoint-100", "checkpoint-200", "onnx"):
        (path / state).mkdir()
        for name in ("model.safetensors", "config.json", "README.md", "pytorch_model.bin"):
            (path / state / name).write_text("not for serving")
    for name in ("training_args.bin", "optimizer.bin", "README.md"):
        (path / name).write_text("beside it")
    return path


def test_states_of_the_training_are_not_fetched(repository: Path, tmp_path: Path) -> None:
    (repository / "pytorch_model.bin").write_text("the same weights again")
    (repository / "pytorch_model.bin.index.json").write_text("{}")
    with hub_of(repository) as (hub, fetched):
        path = located(hub, tmp_path / "home")
    assert path.name == COMMIT
    assert sorted(fetched) == ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    located("http://127.0.0.1:9", tmp_path / "home")  # complete: the hub is not asked again
    (path / "preprocessor_config.json").rename(path / "processor_config.json")
    located("http://127.0.0.1:9", tmp_path / "home")


def test_a_repository_without_safetensors_is_fetched_and_loaded(repository: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    weights = load_file(repository / "model.safetensors")
    (repository / "model.safetensors").rename(repository / "ema.safetensors")  # transformers does not load this one
    shards = {"pytorch_model-00001-of-00002.bin": weights, "pytorch_model-00002-of-00002.bin": {}}
    names = list(weights)
    for shard, own in zip(shards, (names[::2], names[1::2]), strict=True):
        torch.save({name: weights[name] for name in own}, repository / shard)
    placed = {name: list(shards)[at % 2] for at, name in enumerate(names)}
    (repository / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    with hub_of(repository) as (hub, fetched):
        path = located(hub, tmp_path / "home")
    assert [name for name in sorted(fetched) if "bin" in name] == [*shards, "pytorch_model.bin.index.json"]
    assert located("http://127.0.0.1:9", tmp_path / "home") == path
    load_checkpoint(LocatedCheckpoint(path, NAME))
