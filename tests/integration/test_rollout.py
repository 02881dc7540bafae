"""A new release goes live beside the served one, without a failed request, or not at all."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.seeded_checkpoint import make_untrained_checkpoint
from deploy.process import children_of
from export.checkpoint.hub import locate_checkpoint
from export.release import CURRENT, Release, hashed_files, promote, read_release, release_id_of
from export.run import ExportSettings, export_checkpoint
from tests.media import photo
from tests.service import ROOT, Service, run_service
from tests.steady_load import SteadyLoad

_BOUND_S = 90.0


@pytest.fixture(scope="module")
def releases(tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own with the tiny release and two others of the same size."""
    folder = tmp_path_factory.mktemp("rollout") / "releases"
    shutil.copytree(tiny_release.path.parent, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def successor(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release of another model, not current yet."""
    checkpoint = tmp_path_factory.mktemp("successor") / "another"
    make_untrained_checkpoint(checkpoint, hidden_size=64, layers=2, seed=7)
    return export_checkpoint(locate_checkpoint(str(checkpoint)), ExportSettings(releases, parity_images=8))


@pytest.fixture(scope="module")
def running(tiny_checkpoint: Path, releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks Triton at every request and drains for two seconds."""
    settings = {"SCORE_CACHE_FRAMES": "0", "ROLLOUT_DRAIN_S": "2"}
    relative = Path(os.path.relpath(releases, ROOT))  # as the default is
    with run_service(tiny_checkpoint, relative, tmp_path_factory.mktemp("service"), settings) as service:
        yield service


def load_of(service: Service) -> SteadyLoad:
    return SteadyLoad(service.url, photo("coffee.png").read_bytes())


def served(releases: Path) -> str:
    return (releases / CURRENT).resolve().name


def await_said(service: Service, pattern: str) -> None:
    deadline = time.monotonic() + _BOUND_S
    while not re.search(pattern, service.printed()):
        assert time.monotonic() < deadline, f"never said {pattern!r}:\n{service.printed()}"
        time.sleep(0.05)


def damaged(release: Release, model: str, code: str) -> Release:
    """A copy with other code in one of its models, and with hashes that match: only running it shows the damage."""
    copy = release.path.parent / "damaged"
    shutil.copytree(release.path, copy)
    (copy / "model_repository" / model / "1" / "model.py").write_text(code)
    manifest = json.loads((copy / "release.json").read_text())
    manifest["files"] = hashed_files(copy)
    new_id = release_id_of(manifest["description"], manifest["files"])
    config = copy / "model_repository" / "deepfake_detector" / "config.pbtxt"
    config.write_text(config.read_text().replace(release.release_id, new_id))
    manifest["release_id"] = new_id
    (copy / "release.json").write_text(json.dumps(manifest))
    return read_release(copy.rename(release.path.parent / new_id))


def test_a_new_release_takes_over_without_a_failed_request(
    running: Service, releases: Path, tiny_release: Release, successor: Release
) -> None:
    with load_of(running) as load:
        load.await_success(6, after=time.monotonic())
        promote(successor)
        await_said(running, f"release {successor.release_id}: back at port")
        load.await_success(6, after=time.monotonic())
        await_said(running, f"release {successor.release_id}: serves now")
    assert "refused" not in running.printed()
    assert {answer.status for answer in load.answers} == {200}
    order = [answer.release_id for answer in load.answers]
    assert set(order) == {tiny_release.release_id, successor.release_id}
    assert order[-1] == successor.release_id
    # No answer mixes models: each release has its one score.
    for release_id in set(order):
        scores = [answer.score or 0.0 for answer in load.answers if answer.release_id == release_id]
        assert max(scores) - min(scores) <= 1e-6
    assert served(releases) == successor.release_id


@pytest.mark.parametrize(
    ("model", "code", "reason"),
    [
        ("classifier", "class TritonPythonModel:\n    def execute(self, requests):\n        1 / 0\n", "Triton "),
        ("preprocess", "raise RuntimeError('no such thing')\n", "Triton ended with code"),
    ],
    ids=["fails its canary", "does not load"],
)
def test_a_release_that_cannot_serve_is_rolled_back(
    model: str, code: str, reason: str, running: Service, releases: Path, successor: Release
) -> None:
    before = served(releases)
    broken = damaged(successor, model, code)
    with load_of(running) as load:
        load.await_success(3, after=time.monotonic())
        promote(broken)
        await_said(running, f"release {broken.release_id} refused, {before} goes on: {reason}")
        load.await_success(3, after=time.monotonic())
    assert {(answer.status, answer.release_id) for answer in load.answers} == {(200, before)}
    assert served(releases) == before


def test_a_damaged_release_is_not_even_started(running: Service, releases: Path, tiny_release: Release) -> None:
    before = served(releases)
    copy = releases / "0123456789abcdef"
    shutil.copytree(releases / before, copy)
    (copy / "model_repository" / "classifier" / "1" / "model.onnx").write_bytes(b"")
    promote(Release(copy, {}))
    refusal = f"release {copy.name} refused, {before} goes on: release .* is damaged"
    await_said(running, refusal)
    assert served(releases) == before
    time.sleep(1)
    promote(Release(copy, {}))  # what was wrong may have been mended
    await_said(running, f"(?s){refusal}.*{refusal}")


def test_a_second_deployment_on_the_folder_changes_nothing_of_the_first(
    running: Service,
    releases: Path,
    tiny_checkpoint: Path,
    tiny_release: Release,
    successor: Release,
    tmp_path: Path,
) -> None:
    if served(releases) != successor.release_id:
        promote(successor)
        await_said(running, f"release {successor.release_id}: back at port")
    with run_service(tiny_checkpoint, releases, tmp_path) as second:
        assert "is neither moved nor followed here" in second.printed()
        for service, release in ((running, successor), (second, tiny_release)):
            with load_of(service) as load:
                load.await_success(1, after=time.monotonic())
            assert load.answers[-1].release_id == release.release_id
    assert served(releases) == successor.release_id


def test_a_newcomer_that_dies_gives_back_what_it_took(running: Service, releases: Path, tiny_release: Release) -> None:
    before = served(releases)
    newcomer = releases / tiny_release.release_id
    with load_of(running) as load:
        load.await_success(3, after=time.monotonic())
        already = set(_tritons(running))
        promote(read_release(newcomer))
        await_said(running, f"release {newcomer.name}: serves now")
        (taken,) = set(_tritons(running)) - already
        os.kill(taken, signal.SIGKILL)
        await_said(running, f"release {newcomer.name}: Triton ended with code -9; {before} serves again")
        load.await_success(6, after=time.monotonic())
    assert {answer.status for answer in load.answers} == {200}
    assert load.answers[-1].release_id == before
    assert served(releases) == before


def _tritons(service: Service) -> list[int]:
    children = children_of(service.process.pid)
    return [pid for pid in children if b"tritonserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]
