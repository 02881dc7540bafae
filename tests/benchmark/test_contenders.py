"""The servers that the service is compared with answer what the release says, and leave nothing behind."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from deepfake_client import MediaType
from deepfake_client.scores import media_scores

from benchmark.contenders.bare import measure_bare
from benchmark.contenders.release_parts import open_classifier, open_preparer
from benchmark.contenders.start import Contender, ContenderError, serve_litserve, serve_mosec, serve_seed
from benchmark.frames import make_face_frames
from benchmark.http_load import run_load
from benchmark.http_requests import HttpRequests, inference_requests, predict_requests
from export.release import Release


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_face_frames(tmp_path_factory.mktemp("frames"), 4)


@pytest.fixture(scope="module")
def expected(tiny_release: Release, frames: list[Path]) -> list[float]:
    """What the release answers for the frames."""
    preparer, classifier = open_preparer(tiny_release.path), open_classifier(tiny_release.path, cores=1)
    prepared = [preparer.prepare(frame.read_bytes()) for frame in frames]
    preparer.close()
    assert all(image.face for image in prepared)
    answer = classifier.run(np.stack([image.pixels for image in prepared]), np.zeros((len(frames), 1), np.int32))
    classifier.close()
    return [float(p) for p in answer.fake_probability[:, 0]]


def ask(server: Contender, requests: HttpRequests) -> list[Any]:
    """The answers, one request after the other."""
    answers = []
    for number in range(len(requests)):
        request = urllib.request.Request(
            server.url + requests.path, requests.body(number), {"Content-Type": requests.content_type}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answers.append(json.loads(response.read()))
    return answers


@contextmanager
def gone_afterwards(serving: AbstractContextManager[Contender]) -> Iterator[Contender]:
    with serving as server:
        pids = server.pids()
        assert server.pid in pids
        assert len(pids) > 1
        yield server
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert server.pids() == []


def test_the_seed_answers_the_contracts_scores(
    tiny_checkpoint: Path, frames: list[Path], expected: list[float], tmp_path: Path
) -> None:
    with gone_afterwards(serve_seed(tiny_checkpoint, frames[0].parent, 8, tmp_path)) as server:
        singles = ask(server, predict_requests(frames))
        [video] = ask(server, inference_requests(frames, frames[0].parent, frames_each=len(frames)))
    assert [answer["fake_probability"] for answer in singles] == pytest.approx(expected, abs=1e-4)
    assert (video.pop("model_version"), video.pop("inference_time") > 0) == ("v2", True)
    assert video == pytest.approx(media_scores(expected, MediaType.VIDEO).rounded(), abs=0.02)


@pytest.mark.parametrize("serve", [serve_litserve, serve_mosec])
def test_a_framework_answers_as_the_release_also_under_load(
    serve: Callable[[Path, Path], AbstractContextManager[Contender]],
    tiny_release: Release,
    frames: list[Path],
    expected: list[float],
    tmp_path: Path,
) -> None:
    requests = predict_requests(frames)
    with gone_afterwards(serve(tiny_release.path, tmp_path)) as server:
        answers = ask(server, requests)
        load = run_load(server.url, requests, concurrency=8, request_count=32)
    assert [answer["fake_probability"] for answer in answers] == pytest.approx(expected, abs=1e-4)
    assert (load.requests, load.errors) == (32, {})


def test_a_contender_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ContenderError, match="litserve"), serve_litserve(tmp_path / "no-release", tmp_path):
        pass


def test_the_bare_process_classifies_batches_for_as_long_as_told(tiny_release: Release, frames: list[Path]) -> None:
    rate = measure_bare(tiny_release.path, [frame.read_bytes() for frame in frames], seconds=0.5)
    assert rate.images >= 8
    assert rate.seconds >= 0.5
    assert rate.images_per_s == pytest.approx(rate.images / rate.seconds)
