"""A release for TensorRT on a machine that is not the one it was built for."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import PreflightError
from deploy.gpu_release import check_gpu
from export.release import MANIFEST, Release, hashed_files, promote, read_release, release_id_of, served_description
from export.repository import describe_ensemble
from runtime import BuiltOn, RuntimeSpec
from tests import fake_gpu
from tests.deploy.test_triton_container import run_container, run_to_its_end

MACHINE = BuiltOn("NVIDIA L4", "8.9", "", "580.65.06", "10.16.1.11")


def release_with(folder: Path, spec: RuntimeSpec) -> Release:
    """As much of a release as is looked at."""
    entry = folder / "model_repository" / "classifier" / "1"
    entry.mkdir(parents=True)
    spec.save(entry)
    return Release(folder, {"release_id": "0123456789abcdef"})


def elsewhere() -> BuiltOn:
    return replace(MACHINE, gpu="NVIDIA A10", compute_capability="8.6")


def nobody_asks() -> BuiltOn:
    raise AssertionError("a release that runs anywhere asks for no GPU")


def test_a_release_for_cpus_runs_anywhere(tmp_path: Path) -> None:
    assert check_gpu(release_with(tmp_path, RuntimeSpec()), nobody_asks) == []


def test_a_release_of_another_gpu_says_to_export_on_this_one(tmp_path: Path) -> None:
    release = release_with(tmp_path, RuntimeSpec(runtime="tensorrt", built_on=MACHINE))
    assert check_gpu(release, lambda: MACHINE) == []
    said = r"0123456789abcdef cannot be served here: .*capability there was 8.9, here it is 8.6; export on this GPU"
    with pytest.raises(PreflightError, match=said):
        check_gpu(release, elsewhere)


def test_a_newer_driver_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = release_with(tmp_path, RuntimeSpec(runtime="tensorrt", built_on=MACHINE))
    fake_gpu.use(monkeypatch, "NVIDIA L4, 8.9, 590.10, [N/A]")
    (warning,) = check_gpu(release)
    assert "with the driver 580.65.06, and 590.10 runs here" in warning


def test_a_release_for_cuda_needs_a_driver_that_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = release_with(tmp_path, RuntimeSpec(runtime="onnxruntime"))
    fake_gpu.use(monkeypatch, "NVIDIA L4, 8.9, 580.65.06, [N/A]")
    assert check_gpu(release) == []
    fake_gpu.use(monkeypatch, "NVIDIA L4, 8.9, 550.54.15, [N/A]")
    with pytest.raises(PreflightError, match=r"driver 550.54.15 is too old: CUDA 13 needs 580 or newer; update"):
        check_gpu(release)


def test_the_container_does_not_start_on_a_release_for_a_gpu_that_is_not_there(
    tiny_release: Release, tmp_path: Path
) -> None:
    release = _for_a_gpu(tiny_release, tmp_path / "releases")
    promote(release)
    done = run_to_its_end(tmp_path / "releases", tmp_path)
    assert done.returncode == 1
    assert f"triton: release {release.release_id} cannot be served here: no GPU is visible" in done.stderr
    assert "Traceback" not in done.stderr
    with run_container(tmp_path / "releases", tmp_path, "--only-preprocess"):
        pass  # its pixels can be made here


def _for_a_gpu(release: Release, releases: Path) -> Release:
    """The same release, whole and with its own hash, as if it had been built on a GPU."""
    copy = releases / "copy"
    shutil.copytree(release.path, copy)
    entry = copy / "model_repository" / "classifier" / "1"
    replace(RuntimeSpec.load(entry), built_on=MACHINE).save(entry)
    description, files = release.manifest["description"], hashed_files(copy)
    manifest = {"release_id": release_id_of(description, files), "description": description, "files": files}
    ensemble = copy / "model_repository" / "deepfake_detector"
    describe_ensemble(ensemble, served_description(manifest))
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return read_release(copy.rename(releases / manifest["release_id"]))
