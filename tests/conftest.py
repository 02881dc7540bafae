"""Fixtures every test may use: small real checkpoints and the releases exported from them, made once per run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.checkpoint.hub import locate_checkpoint
from export.release import Release, promote, read_release
from export.run import export_checkpoint
from export.settings import ExportSettings
from runtime.free_ports import free_ports
from tests.made_once import made_once
from tests.seeded_checkpoint import make_untrained_checkpoint
from tests.service import Service, await_ends, run_service
from tests.signal_stack import signal_stack

CARD = "---\nlicense: mit\n---\n# A card\n\nFor tests: grün ist kein Beweis.\n"


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """The tests' models are too small for more, and their threads would only spin beside the servers under test."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_service_outlives_the_run() -> Iterator[None]:
    yield
    await_ends()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP classifier with two narrow layers and seeded weights: real architecture, real files, fast."""

    def make(folder: Path) -> None:
        make_untrained_checkpoint(folder / "tiny-siglip", hidden_size=64, layers=2)

    return made_once(tmp_path_factory, "tiny-checkpoint", make) / "tiny-siglip"


@pytest.fixture(scope="session")
def tiny_release(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The tiny checkpoint, exported and current in its folder of releases."""
    return _current(made_once(tmp_path_factory, "tiny-releases", lambda folder: _export(tiny_checkpoint, folder)))


@pytest.fixture(scope="session")
def face_release(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The tiny checkpoint with a sidecar that says it is trained, and for faces only."""

    def make(folder: Path) -> None:
        shutil.copytree(tiny_checkpoint, folder / "for-faces")
        (folder / "for-faces" / "deepfake.json").write_text('{"name": "for-faces", "scope": "face"}', encoding="utf-8")
        _export(folder / "for-faces", folder / "releases")

    return _current(made_once(tmp_path_factory, "face-releases", make) / "releases")


@pytest.fixture(scope="session")
def int8_release(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The tiny checkpoint in int8, current in its folder of releases."""

    def make(folder: Path) -> None:
        before = signal_stack()  # pytest's faulthandler has one
        _export(tiny_checkpoint, folder, "int8")
        assert signal_stack() == before  # the cores that NNCF makes have put theirs back

    return _current(made_once(tmp_path_factory, "tiny-int8-releases", make))


@pytest.fixture(scope="session")
def service(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The whole service over the tiny checkpoint: supervisor, real Triton with HTTP, real gateway, on free ports."""
    extra = {
        "DEEPFAKE_TRITON_HTTP_PORT": str(free_ports(1)[0]),
        "DEEPFAKE_FURTHER_FRAMES": "0",  # whether there are any depends on the service's sampling secret
    }
    with run_service(tiny_checkpoint, tiny_release.path.parent, tmp_path_factory.mktemp("service"), extra) as running:
        yield running


@pytest.fixture(scope="session")
def golden_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with a card, calibrated on images it can tell apart, and with golden images."""

    def make(folder: Path) -> None:
        from tests.labelled_images import write_clear_cases, write_dataset
        from training.calibration.cli import main_command

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
            resamples=100,
        )

    return made_once(tmp_path_factory, "golden-checkpoint", make) / "golden-siglip"


@pytest.fixture(scope="session")
def golden_release(golden_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The same exported, and current in its folder of releases."""
    return _current(made_once(tmp_path_factory, "golden-releases", lambda folder: _export(golden_checkpoint, folder)))


def _export(checkpoint: Path, releases: Path, precision: str = "fp32") -> None:
    settings = ExportSettings(releases, precision=precision, parity_images=8)
    promote(export_checkpoint(locate_checkpoint(str(checkpoint)), settings))


def _current(releases: Path) -> Release:
    return read_release((releases / "current").resolve())
