"""A real process that is killed in the middle, and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.service import ROOT
from tests.training.samples import made_faces, paint_patch, tiny_base
from training.data.faces import FaceImage, Forgery
from training.data.sets import data_in_memory
from training.options import TrainingOptions
from training.run import train
from training.run_state import StopRequest, stops_on_signals


def train_slowly(output: Path, base: Path, pause_s: float, epochs: int, resume: bool = False, workers: int = 0) -> None:
    """The run under test; what each forgery waits changes nothing but the time that there is for a signal."""

    def forge(face: FaceImage, rng: np.random.Generator) -> Forgery:
        time.sleep(pause_s)
        return paint_patch(face, rng)

    options = TrainingOptions(
        output=output, base=str(base), epochs=epochs, batch_size=4, learning_rate=3e-3, self_blend=True, cpu=True,
        ema=0.9, save_steps=1, resume=resume, workers=workers,
    )  # fmt: skip
    stop = StopRequest()
    with stops_on_signals(stop):
        train(options, data_in_memory(made_faces(16), made_faces(4, first=100), forge=paint_patch), forge, stop=stop)


PROGRAM = """
import sys
from pathlib import Path
from tests.training.test_resume import train_slowly
from training.errors import StoppedError

try:
    train_slowly(Path(sys.argv[1]), Path(sys.argv[2]), 0.03, int(sys.argv[3]), sys.argv[4] == "resume", workers=1)
except StoppedError as error:
    sys.exit(128 + error.signal_number)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-base")


def start(output: Path, base: Path, epochs: int, resume: bool = False) -> subprocess.Popen[bytes]:
    arguments = [str(output), str(base), str(epochs), "resume" if resume else "anew"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def wait_for_state(output: Path, process: subprocess.Popen[bytes], step: int) -> None:
    deadline = time.monotonic() + 90
    while not (output / "runs" / f"checkpoint-{step}" / "complete").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_same(whole: Path, cut: Path, steps: list[int]) -> None:
    one, other = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (whole, cut))
    assert all(one[name].equal(other[name]) for name in one)
    history, expected = (json.loads((folder / "history.json").read_text()) for folder in (cut, whole))
    assert [row["step"] for row in history] == steps
    assert [row["auc"] for row in history] == [row["auc"] for row in expected]


def test_a_killed_run_reaches_what_an_undisturbed_one_does(tmp_path: Path, base: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    killed = start(cut, base, epochs=2)
    train_slowly(whole, base, 0.0, epochs=2)
    wait_for_state(cut, killed, 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert not (cut / "checkpoint").exists()
    train_slowly(cut, base, 0.0, epochs=2, resume=True)
    assert_same(whole, cut, [4, 8])


@pytest.mark.long
def test_a_run_that_is_killed_and_then_stopped_reaches_the_same(tmp_path: Path, base: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    killed = start(cut, base, epochs=3)
    train_slowly(whole, base, 0.0, epochs=3)
    wait_for_state(cut, killed, 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    stopped = start(cut, base, epochs=3, resume=True)
    wait_for_state(cut, stopped, 6)
    os.killpg(stopped.pid, signal.SIGTERM)  # the worker gets it, too
    assert stopped.wait(30) == 143
    train_slowly(cut, base, 0.0, epochs=3, resume=True)
    assert_same(whole, cut, [4, 8, 12])
