"""Which GPUs there are, and what a TensorRT engine is bound to."""

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import BuiltOn, ClassifierLoadError, RuntimeSpec, load_classifier
from runtime.batch_profiles import batch_profiles, batch_sizes, profile_for
from runtime.gpu import Gpu, library_tensorrt, package_tensorrt, the_kind_of_gpu, visible_gpus
from tests import fake_gpu

L4 = "NVIDIA L4, 8.9, 580.65.06, [N/A]"
HERE = BuiltOn("NVIDIA L4", "8.9", "", "580.65.06", "10.16.1.11")


def test_without_the_drivers_program_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ClassifierLoadError, match=r"no GPU is visible: .*install NVIDIA's driver.*--gpus all"):
        visible_gpus()


def test_gpus_are_read_from_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch, f"{L4}\n{L4}")
    assert visible_gpus() == (Gpu("NVIDIA L4", "8.9", "580.65.06"),) * 2
    assert str(the_kind_of_gpu()) == "NVIDIA L4 (compute capability 8.9, driver 580.65.06)"


def test_a_driver_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch, "")
    with pytest.raises(ClassifierLoadError, match="No devices were found"):
        visible_gpus()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_none(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(ClassifierLoadError, match="CUDA_VISIBLE_DEVICES"):
        visible_gpus()


def test_gpus_of_several_kinds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch, f"{L4}\nNVIDIA A10, 8.6, 580.65.06, [N/A]")
    with pytest.raises(ClassifierLoadError, match=r"several kinds of GPU are visible \(NVIDIA A10.*NVIDIA L4"):
        the_kind_of_gpu()


def test_a_slice_of_a_gpu_is_a_kind_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch, "NVIDIA H100 80GB HBM3, 9.0, 580.65.06, Enabled")
    with pytest.raises(ClassifierLoadError, match="no slice is given"):
        visible_gpus()
    monkeypatch.setenv("FAKE_MIG", "  MIG 1g.10gb     Device  0: (UUID: MIG-1)\n")
    assert the_kind_of_gpu() == Gpu("NVIDIA H100 80GB HBM3", "9.0", "580.65.06", "1g.10gb")
    monkeypatch.setenv("FAKE_MIG", "  MIG 1g.10gb     Device  0: (U)\n  MIG 2g.20gb     Device  1: (U)\n")
    with pytest.raises(ClassifierLoadError, match="several kinds"):
        the_kind_of_gpu()


def test_the_library_that_triton_loads_tells_its_version() -> None:
    version = SimpleNamespace(
        getInferLibMajorVersion=lambda: 10, getInferLibMinorVersion=lambda: 16, getInferLibPatchVersion=lambda: 1,
        getInferLibBuildVersion=lambda: 11,
    )  # fmt: skip
    asked: list[str] = []

    def load(name: str) -> SimpleNamespace:
        asked.append(name)
        if name.endswith("11"):
            raise OSError("not found")
        return version

    assert library_tensorrt(load) == "10.16.1.11"
    assert asked == ["libnvinfer.so.11", "libnvinfer.so.10"]
    assert library_tensorrt(lambda _name: SimpleNamespace()) == ""


def test_this_machine_is_its_gpu_and_its_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    assert package_tensorrt() == fake_gpu.TENSORRT
    assert BuiltOn.here() == HERE


def test_a_machine_without_tensorrt_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    monkeypatch.setattr("runtime.gpu.package_tensorrt", lambda: "")
    with pytest.raises(ClassifierLoadError, match=r"TensorRT is not installed: .*gpu-tensorrt"):
        BuiltOn.here()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"compute_capability": "8.6"}, "the compute capability there was 8.9, here it is 8.6; export on this GPU"),
        ({"tensorrt": "11.4.0.106"}, "the TensorRT there was 10.16.1.11, here it is 11.4.0.106"),
        ({"driver": "570.124.06"}, "driver 570.124.06 is too old: CUDA 13 needs 580 or newer"),
    ],
)
def test_another_machine_is_refused_by_what_differs(change: dict[str, str], said: str) -> None:
    with pytest.raises(ClassifierLoadError, match=said):
        HERE.check(replace(HERE, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"driver": "581.2"}, ["with the driver 580.65.06, and 581.2 runs here"]),
        ({"driver": "580.10"}, ["with the driver 580.65.06, and 580.10 runs here"]),
        ({"gpu": "NVIDIA L40S"}, ["with the GPU NVIDIA L4, and NVIDIA L40S runs here"]),
        ({"mig": "1g.10gb"}, ["with the MIG profile none, and 1g.10gb runs here"]),
    ],
)
def test_what_may_differ_is_told(change: dict[str, str], said: list[str]) -> None:
    warnings = HERE.check(replace(HERE, **change))
    assert [text in warning for text, warning in zip(said, warnings, strict=True)] == [True] * len(said)


def test_a_classifier_of_another_gpu_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RuntimeSpec(runtime="tensorrt", graph="model.plan", built_on=HERE).save(tmp_path)
    assert RuntimeSpec.load(tmp_path).built_on == HERE
    with pytest.raises(ClassifierLoadError, match="no GPU is visible"):
        load_classifier(tmp_path)
    fake_gpu.use(monkeypatch, "NVIDIA A10, 8.6, 580.65.06, [N/A]")
    with pytest.raises(ClassifierLoadError, match="export on this GPU"):
        load_classifier(tmp_path)


def test_the_fake_program_is_asked_what_the_real_one_understands() -> None:
    """The fields are those of `nvidia-smi --help-query-gpu`; the fake refuses all others."""
    fake = fake_gpu.FOLDER / "bin" / "nvidia-smi"
    done = subprocess.run([fake, "--query-gpu=surprise"], env={"FAKE_GPUS": L4}, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(("preferred", "largest"), [(8, 32), (1, 32), (32, 32), (16, 8), (1, 1), (2, 3)])
def test_every_batch_has_exactly_one_profile(preferred: int, largest: int) -> None:
    profiles = batch_profiles(preferred, largest)
    for count in range(1, largest + 1):
        taking = [p for p in profiles if p.smallest <= count <= p.largest]
        assert len(taking) == 1
        assert profiles[profile_for(profiles, count)] == taking[0]
    assert tuple(p.largest for p in profiles) == batch_sizes(preferred, largest)
    with pytest.raises(ValueError, match="no profile"):
        profile_for(profiles, largest + 1)


def test_the_sizes_are_what_triton_forms() -> None:
    assert batch_sizes(8, 32) == (1, 8, 32)
    assert batch_sizes(1, 32) == (1, 32)
