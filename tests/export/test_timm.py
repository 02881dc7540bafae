"""Checkpoints of timm are prepared by timm's transform and scored as transformers' pipeline scores them."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import load_checkpoint
from export.errors import CheckpointError
from tests.export import checkpoints
from tests.made_once import made_once
from tests.service import ROOT


def install(folder: Path) -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["timm"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *extra]
    subprocess.run(command, check=True)


def test_they_are_served_as_the_pipeline_scores_them(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    paths = (str(ROOT), str(ROOT / "client"), str(made_once(tmp_path_factory, "timm", install)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "tests.export.timm_checkpoints", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    dp = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    assert len(dp) == 4
    assert max(dp.values()) <= 1e-5


def test_without_timm_the_extra_is_named(tmp_path: Path) -> None:
    path = checkpoints.vit(tmp_path / "model")
    settings = {**json.loads((path / "config.json").read_text()), "pretrained_cfg": {"input_size": [3, 48, 48]}}
    (path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"of timm, and packages are missing \(timm.*pip install .*\[timm\]"):
        load_checkpoint(LocatedCheckpoint(path, "model"))
