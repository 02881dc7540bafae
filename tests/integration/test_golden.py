"""A calibrated checkpoint with golden images, served for real; and a release that scores them wrongly, not served."""

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from deepfake_client import create_detector
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import read_sidecar
from export.golden import GoldenSet, read_golden
from export.release import Release
from export.run import existing_release
from export.settings import ExportSettings
from tests.conftest import CARD
from tests.service import Service, run_service
from tests.wrong_golden import wrongly_golden

_BOUND_S = 90.0


@pytest.fixture(scope="module")
def releases(golden_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / "releases"
    shutil.copytree(golden_release.path.parent, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def golden(golden_release: Release) -> GoldenSet:
    found = read_golden(golden_release.path)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def running(golden_checkpoint: Path, releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # The key of a release holds the export's settings; the service's own must be found again, not exported anew.
    with run_service(golden_checkpoint, releases, tmp_path_factory.mktemp("service")) as service:
        yield service


def test_the_service_gives_golden_images_their_scores_and_verdicts(
    running: Service, golden: GoldenSet, golden_checkpoint: Path
) -> None:
    bands = read_sidecar(golden_checkpoint).verdict_bands.image
    for entry, image in zip(golden.manifest.images, golden.images, strict=True):
        form = {"include": "scores"}
        body = requests.post(f"{running.url}/detect", files={"file": image}, data=form, timeout=30).json()
        assert body["confidence_score"] == pytest.approx(entry.fake_probability, abs=1e-4)
        assert body["metadata"]["verdict_bands"] == bands.model_dump()
        assert body["result"] == ("fake" if body["confidence_score"] > bands.fake_above else "real")


def test_the_checkpoints_statements_reach_every_surface(running: Service, golden_checkpoint: Path) -> None:
    record = read_sidecar(golden_checkpoint).calibration
    assert record is not None
    said = record.summary().model_dump()
    health = requests.get(f"{running.url}/health", timeout=10).json()
    assert health["calibration"] == said
    assert health["model_card"]["licence"] == "mit"
    card = requests.get(f"{running.url}{health['model_card']['route']}", timeout=10)
    assert card.content.decode("utf-8") == CARD
    with create_detector(running.grpc) as detector:
        info = detector.info()
    assert info.calibration is not None
    assert info.calibration.image.real == record.image.real
    assert info.calibration.image.tpr == record.image.tpr


def test_a_damaged_release_is_not_started_again_and_nobody_else_gets_the_port(running: Service, releases: Path) -> None:
    model = releases / "current" / "model_repository" / "classifier" / "1" / "model.onnx"
    content, announced = model.read_bytes(), running.printed().count("Triton answers again")
    try:
        model.write_bytes(content[:-8] + bytes(8))
        os.kill(running.triton_pid(), signal.SIGKILL)
        _await_line(running, "is damaged (classifier/1/model.onnx)", 1)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", running.triton_grpc_port))
        with pytest.raises(LookupError):
            running.triton_pid()
    finally:
        model.write_bytes(content)
    _await_line(running, "Triton answers again", announced + 1)


def _await_line(service: Service, line: str, count: int) -> None:
    deadline = time.monotonic() + _BOUND_S
    while service.printed().count(line) < count:
        assert time.monotonic() < deadline, service.printed()
        time.sleep(0.05)


def test_a_service_does_not_start_on_such_a_release(
    golden_checkpoint: Path, golden_release: Release, tmp_path: Path
) -> None:
    releases = tmp_path / "releases"
    shutil.copytree(golden_release.path.parent, releases, symlinks=True)
    # A first start, so that the key under which the service looks is known.
    settings = ExportSettings(releases)
    located = locate_checkpoint(str(golden_checkpoint))
    wrong = wrongly_golden(golden_release, releases)
    for key in (releases / ".keys").iterdir():
        key.write_text(wrong.release_id)
    found = existing_release(located, settings)
    assert found is not None
    assert found.release_id == wrong.release_id
    started = time.monotonic()
    with (
        pytest.raises(AssertionError, match=r"not what it should be: golden image real-1[^\n]* is recorded"),
        run_service(golden_checkpoint, releases, tmp_path / "service"),
    ):
        pass
    assert time.monotonic() - started < _BOUND_S
    printed = (tmp_path / "service" / "supervisor.log").read_text("utf-8")
    assert "ready after" not in printed
    assert json.loads((wrong.path / "release.json").read_text())["release_id"] == wrong.release_id
