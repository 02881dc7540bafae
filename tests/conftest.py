"""Fixtures every test may use: small real checkpoints and the releases exported from them, made once per run."""

import shutil
from pathlib import Path

import pytest

from benchmark.seeded_checkpoint import make_untrained_checkpoint
from export.hub import locate_checkpoint
from export.release import Release, promote
from export.run import ExportSettings, export_checkpoint
from tests.service import Service, run_service

CARD = "---\nlicense: mit\n---\n# A card\n\nFor tests: grün ist kein Beweis.\n"


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """The tests' models are too small for more, and their threads would only spin beside the servers under test."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP classifier with two narrow layers and seeded weights: real architecture, real files, fast."""
    path = tmp_path_factory.mktemp("checkpoints") / "tiny-siglip"
    make_untrained_checkpoint(path, hidden_size=64, layers=2)
    return path


@pytest.fixture(scope="session")
def tiny_release(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The tiny checkpoint, exported and current in its folder of releases."""
    releases = tmp_path_factory.mktemp("releases")
    release = export_checkpoint(locate_checkpoint(str(tiny_checkpoint)), ExportSettings(releases, parity_images=8))
    promote(release)
    return release


@pytest.fixture(scope="session")
def service(tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The whole service over the tiny checkpoint: supervisor, real Triton, real gunicorn, on free ports."""
    with run_service(tiny_checkpoint, tiny_release.path.parent, tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def golden_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with a card, calibrated on images it can tell apart, and with golden images."""
    from tests.labelled_images import write_clear_cases, write_dataset
    from training.calibrate_cli import main_command

    folder = tmp_path_factory.mktemp("calibrated")
    source = folder / "carded"
    shutil.copytree(tiny_checkpoint, source)
    (source / "README.md").write_text(CARD, encoding="utf-8")
    main_command(
        checkpoint=str(source),
        data_dir=write_dataset(tiny_checkpoint, folder / "data"),
        output=folder / "golden-siglip",
        max_fpr=0.05,
        max_fnr=0.1,
        golden=write_clear_cases(tiny_checkpoint, folder / "cases"),
        face_detection=False,
        resamples=100,
    )
    return folder / "golden-siglip"


@pytest.fixture(scope="session")
def golden_release(golden_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The same exported, and current in its folder of releases."""
    releases = tmp_path_factory.mktemp("golden-releases")
    release = export_checkpoint(locate_checkpoint(str(golden_checkpoint)), ExportSettings(releases, parity_images=8))
    promote(release)
    return release
