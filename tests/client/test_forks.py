"""A detector in a process that was forked or spawned from the one that used it: right, and in time."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from deepfake_client import Detector, DetectorClosedError
from deepfake_client.in_process import InProcessScorer
from export.release import Release
from tests.client.forking import TIMEOUT_S
from tests.inference_server import InferenceServer, jpeg
from tests.media import photo


def scores(mode: str, target: str, image: Path, count: int = 1) -> list[float]:
    """What the program of `tests.client.forking` says."""
    command = [sys.executable, "-m", "tests.client.forking", mode, target, str(image), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    assert all(float(seconds) < TIMEOUT_S + 1 for _, seconds in said), done.stdout
    assert not {name for name, _ in said if name[0].isalpha()}, done.stdout + done.stderr
    return [float(value) for value, _ in said]


@pytest.mark.parametrize(("mode", "count"), [("used", 12), ("busy", 12), ("async", 2), ("grandchild", 2), ("spawn", 1)])
def test_a_detector_of_triton_works_in_children(server: InferenceServer, tmp_path: Path, mode: str, count: int) -> None:
    """The channel's threads stayed in the parent: ten of twelve children hung past their deadline."""
    (tmp_path / "a.jpg").write_bytes(jpeg("p=0.25"))
    assert scores(mode, server.url, tmp_path / "a.jpg", count) == [0.25] * (count + 2)


def test_a_detector_in_process_works_in_children(tiny_release: Release) -> None:
    """The model's threads stayed in the parent: the first request ended with its deadline."""
    said = scores("used", str(tiny_release.path), photo("astronaut.png"))
    assert said == [said[0]] * 3


def test_a_detector_in_process_can_be_pickled(tiny_release: Release) -> None:
    scorer = InProcessScorer(tiny_release.path)
    scorer.close()
    with Detector(scorer) as closed, pickle.loads(pickle.dumps(closed)) as detector:
        assert detector.info() == tiny_release.info
        with pytest.raises(DetectorClosedError):
            closed.info()
