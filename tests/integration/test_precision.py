"""A low precision through the whole service: what was chosen is said, and every way to it gives the same scores."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import Deadline
from deepfake_client.triton.scorer import TritonScorer
from export.release import Release
from tests.service import Service, run_service


@pytest.fixture(scope="module")
def served(
    tiny_checkpoint: Path, int8_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Path]]:
    """A service in int8, and its release."""
    folder = tmp_path_factory.mktemp("int8-service")
    releases = int8_release.path.parent
    with run_service(tiny_checkpoint, releases, folder, {"DEEPFAKE_PRECISION": "int8"}) as service:
        yield service, int8_release.path


def test_it_says_which_precision_it_serves_and_why(served: tuple[Service, Path]) -> None:
    service, _ = served
    assert "exporting" not in service.printed()
    (said,) = [line for line in service.printed().splitlines() if line.endswith("<- served")]
    assert "precision int8" in said
    assert "max |dp|" in said
    (log,) = service.run_dir.glob("logs-*/serve.log")
    assert log.read_text("utf-8").splitlines()[0] == said.partition(" ")[2]
    health = requests.get(f"{service.url}/health", timeout=10).json()
    assert (health["status"], health["precision"]) == ("healthy", "int8")


def test_a_frame_scores_the_same_alone_in_any_batch_and_in_process(
    served: tuple[Service, Path], images: dict[str, bytes]
) -> None:
    service, release = served
    frames = [*images.values()] * 4
    remote, local = TritonScorer(service.grpc), InProcessScorer.open(release.resolve())
    try:
        together = np.array([s.fake_probability for s in remote.score(frames, Deadline(60)).scores])
        alone = np.array([remote.score([f], Deadline(60)).scores[0].fake_probability for f in frames])
        here = np.array([s.fake_probability for s in local.score(frames, Deadline(60)).scores])
    finally:
        remote.close()
        local.close()
    assert together.std() > 0.01
    assert np.abs(together - alone).max() <= 1e-4
    assert np.abs(together - here).max() <= 1e-4
