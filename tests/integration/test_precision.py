"""A low precision through the whole service: what was chosen is said, and every way to it gives the same scores."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import Deadline
from deepfake_client.triton.scorer import TritonScorer
from export.release import read_release
from tests.service import Service, run_service


@pytest.fixture(scope="module")
def chosen(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """The service with the fastest precision of this machine, and its release."""
    folder = tmp_path_factory.mktemp("auto")
    with run_service(tiny_checkpoint, folder / "releases", folder, {"DEEPFAKE_PRECISION": "auto"}) as service:
        yield service, folder / "releases" / "current"


def test_it_says_which_precision_it_serves_and_why(chosen: tuple[Service, Path]) -> None:
    service, release = chosen
    precision = read_release(release).info.precision
    (served,) = [line for line in service.printed().splitlines() if line.endswith("<- served")]
    assert f"precision {precision}" in served
    assert "images/s" in served
    assert "max |dp|" in served
    (log,) = service.run_dir.glob("logs-*/serve.log")
    tried = [line for line in log.read_text("utf-8").splitlines() if "precision " in line]
    assert {line.split("precision ")[1].split()[0].rstrip(":") for line in tried} >= {precision, "int8"}
    assert requests.get(f"{service.url}/health", timeout=10).json()["status"] == "healthy"


def test_a_frame_scores_the_same_alone_in_any_batch_and_in_process(
    chosen: tuple[Service, Path], images: dict[str, bytes]
) -> None:
    service, release = chosen
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
