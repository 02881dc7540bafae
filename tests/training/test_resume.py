"""A real process that is killed in the middle, and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.service import ROOT
from tests.training.samples import tiny_base

PROGRAM = """
import sys, time
from pathlib import Path
from tests.training.samples import made_faces, paint_patch
from training.data import data_in_memory
from training.errors import StoppedError
from training.options import TrainingOptions
from training.run import train
from training.stopping import StopRequest, stops_on_signals

output, base, pause_s, resume = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == "resume"

def forge(face, rng):
    time.sleep(pause_s)
    return paint_patch(face, rng)

options = TrainingOptions(output, base, epochs=3, batch_size=4, learning_rate=3e-3, self_blend=True, cpu=True, ema=0.9,
                          save_steps=1, resume=resume)
data = data_in_memory(made_faces(16), made_faces(4, first=100), forge=paint_patch)
stop = StopRequest()
try:
    with stops_on_signals(stop):
        train(options, data, forge, stop=stop)
except StoppedError as error:
    sys.exit(128 + error.signal_number)
"""
STEPS = 12


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-base")


def start(output: Path, base: Path, pause_s: float = 0.0, resume: bool = False) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", PROGRAM, str(output), str(base), str(pause_s), "resume" if resume else "anew"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(arguments, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_state(output: Path, process: subprocess.Popen[str], step: int) -> None:
    deadline = time.monotonic() + 60
    while not (output / "runs" / f"checkpoint-{step}" / "complete").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_or_stopped_runs_reach_what_an_undisturbed_one_does(tmp_path: Path, base: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    undisturbed = start(whole, base)
    killed = start(cut, base, pause_s=0.03)
    wait_for_state(cut, killed, 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert not (cut / "checkpoint").exists()
    stopped = start(cut, base, pause_s=0.03, resume=True)
    wait_for_state(cut, stopped, 6)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(30) == 143, stopped.communicate()[1]
    finished = start(cut, base, resume=True)
    for process in (finished, undisturbed):
        assert process.wait(60) == 0, process.communicate()[1]
    one, other = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (whole, cut))
    assert all(one[name].equal(other[name]) for name in one)
    history, expected = (json.loads((folder / "history.json").read_text()) for folder in (cut, whole))
    assert [row["step"] for row in history] == [4, 8, STEPS]
    assert [row["auc"] for row in history] == [row["auc"] for row in expected]
