"""A detector in a process that was forked or spawned from the one that used it: right, and in time."""

import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepfake_client import Detector, DetectorClosedError, create_detector
from deepfake_client.in_process import InProcessScorer
from deepfake_client.triton import endpoint
from export.release import Release
from tests.client.forking import TIMEOUT_S
from tests.gateway.routes.test_detect import video
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


def test_a_child_decodes_videos_by_a_process_of_its_own(tmp_path: Path) -> None:
    """The child ended its parent's."""
    (tmp_path / "clip.mp4").write_bytes(video(2))
    assert scores("video", "", tmp_path / "clip.mp4") == [1.0, 1.0]


def test_a_fork_waits_for_calls_but_not_for_ever(server: InferenceServer) -> None:
    server.behaviour.delay_s = 0.3
    with create_detector(server.url) as detector, ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(detector.detect, jpeg("p=0.25"))
        while not endpoint._CALLS._count or not server.received:
            time.sleep(0.01)
        endpoint._CALLS._rest()  # as a fork does
        assert endpoint._CALLS._count == 0
        assert under_way.result().confidence_score == 0.25
        began_at = time.monotonic()
        threading.Timer(0.2, endpoint._CALLS._go_on).start()
        assert detector.detect(jpeg("p=0.25")).confidence_score == 0.25
        assert time.monotonic() - began_at > 0.2
        detector.scorer._endpoint._connection().close()  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="closed"):
            detector.detect(jpeg("p=0.25"))
    assert endpoint._CALLS._count == 0


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
