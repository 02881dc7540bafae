import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from tests.service import ROOT
from tests.training.samples import tiny_base, write_folder
from training.cli import app


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"), people=4)


@pytest.fixture
def run(tmp_path: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    cache = tmp_path_factory.getbasetemp() / "cli-faces"

    def invoke(*arguments: object) -> Result:
        defaults = ["--base", base, "--output", tmp_path / "out", "--cache-dir", cache, "--epochs", 1, "--cpu"]
        return CliRunner().invoke(app, [str(argument) for argument in (*defaults, *arguments)])

    return invoke


Run = type(lambda *_: None)


def test_a_folder_becomes_a_checkpoint(run: Run, tmp_path: Path, folder: Path) -> None:
    result = run(
        "--data-dir",
        folder,
        "--name",
        "my-detector",
        "--notice",
        "Trial.",
        "--lora",
        2,
        "--precision",
        "bf16",
        "--scope",
        "any",
    )
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    assert result.stdout.splitlines()[0] == f"checkpoint   {out / 'checkpoint'}"
    assert "validation   AUC " in result.stdout
    assert "3 real and 3 fake files" in result.stderr
    assert "an epoch shows 3 real and 3 fake faces" in result.stderr
    checkpoint = load_checkpoint(locate_checkpoint(str(out / "checkpoint")))
    assert (checkpoint.name, checkpoint.sidecar.notice, checkpoint.sidecar.crop_factor) == (
        "my-detector",
        "Trial.",
        1.3,
    )
    assert checkpoint.sidecar.scope == "any"
    assert checkpoint.model_card is not None
    assert checkpoint.model_card.name == "my-detector"
    assert "one face at a time" in checkpoint.model_card.limits
    assert "## Validation" in checkpoint.model_card.text
    written = {path.name for path in out.iterdir()}
    assert written == {"checkpoint", "history.json", "logs", "run.json", "runs", "split.csv", "unreadable.csv"}


def test_refusals_are_one_line_and_exit_code_1(run: Run, tmp_path: Path, folder: Path) -> None:
    nowhere = run("--data-dir", tmp_path / "nowhere")
    assert (nowhere.exit_code, nowhere.stdout) == (1, "")
    assert nowhere.stderr.startswith("deepfake-train: ")
    assert len(nowhere.stderr.splitlines()) == 1
    no_checkpoint = run("--data-dir", folder, "--base", folder)
    assert no_checkpoint.exit_code == 1
    assert "it holds no config.json" in no_checkpoint.stderr
    no_base = run("--data-dir", folder, "--base", "./nothing")
    assert no_base.exit_code == 1
    assert "--base: ./nothing: no such directory" in no_base.stderr
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_wrong_usage_is_exit_code_2(run: Run, folder: Path) -> None:
    assert run().exit_code == 2
    assert run("--data-dir", folder, "--epochs", 0).exit_code == 2
    assert run("--data-dir", folder, "--precision", "int8").exit_code == 2


def test_help_needs_no_torch() -> None:
    code = "import training.cli, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not set(loaded.split()) & {"torch", "transformers", "accelerate", "cv2", "mediapipe", "sklearn"}
    started = time.monotonic()
    shown = subprocess.run(
        [sys.executable, "-m", "training", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--data-dir" in shown.stdout
    assert time.monotonic() - started < 10
