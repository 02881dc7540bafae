"""The servers that the service is compared with answer what the release says, and leave nothing behind."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from benchmark.contenders import (
    RELEASE_VARIABLE,
    fake_probabilities,
    open_classifier,
    open_preparer,
)
from benchmark.frames import make_face_frames
from benchmark.load import run_load
from benchmark.servers import BenchError, Server, serve_framework, serve_plain
from deepfake_client import MediaType
from deepfake_client.scores import media_scores
from export.release import Release


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_face_frames(tmp_path_factory.mktemp("frames"), 4)


@pytest.fixture(scope="module")
def expected(tiny_release: Release, frames: list[Path]) -> list[float]:
    """What the release answers for the frames."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(RELEASE_VARIABLE, str(tiny_release.path))
        preparer, classifier = open_preparer(), open_classifier(cores=1)
    prepared = [preparer.prepare(frame.read_bytes()) for frame in frames]
    preparer.close()
    assert all(image.faces for image in prepared)
    answers = fake_probabilities(classifier, [image.pixels for image in prepared])
    classifier.close()
    return [answer["fake_probability"] for answer in answers]


@contextmanager
def gone_afterwards(serving: AbstractContextManager[Server]) -> Iterator[Server]:
    with serving as server:
        leader = psutil.Process(server.pid)
        pids = [leader.pid, *(child.pid for child in leader.children(recursive=True))]
        assert len(pids) > 1
        yield server
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def probabilities(server: Server, frames: list[Path]) -> list[float]:
    answers = [server.score_image(frame.read_bytes()) for frame in frames]
    return [answer["fake_probability"] for answer in answers]


def test_the_plain_service_answers_the_contracts_scores(
    tiny_checkpoint: Path, frames: list[Path], expected: list[float], tmp_path: Path
) -> None:
    with gone_afterwards(serve_plain(tiny_checkpoint, frames[0].parent, 8, tmp_path)) as server:
        singles = probabilities(server, frames)
        video = server.score_frames([frame.name for frame in frames])
    assert singles == pytest.approx(expected, abs=1e-4)
    assert (video.pop("model_version"), video.pop("inference_time") > 0) == ("v2", True)
    assert video == pytest.approx(media_scores(expected, MediaType.VIDEO).rounded(), abs=0.02)


@pytest.mark.long  # other people's servers: what they answer does not change with this product
@pytest.mark.parametrize("framework", ["LitServe", "mosec"])
def test_a_framework_answers_as_the_release_also_under_load(
    framework: str,
    tiny_release: Release,
    frames: list[Path],
    expected: list[float],
    tmp_path: Path,
) -> None:
    with gone_afterwards(serve_framework(framework, tiny_release.path, tmp_path)) as server:
        assert probabilities(server, frames) == pytest.approx(expected, abs=1e-4)
        assert run_load(server, frames[0].parent, seconds=1, clients=8).requests > 8


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="LitServe"), serve_framework("LitServe", tmp_path / "no-release", tmp_path):
        pass
