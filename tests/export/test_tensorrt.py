"""TensorRT: what is refused where it cannot be had, what is built where it can, and what Triton is told."""

import json
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from export.checkpoint.hub import locate_checkpoint
from export.cli import app
from export.errors import ExportError, GpuError
from export.gate.parity import TOLERANCES, tolerance_of
from export.graph.tensorrt import build_plan
from export.release import Release, read_config, read_release, verify_files, warmed_batches
from export.run import existing_release, export_checkpoint
from export.settings import ExportSettings
from export.target import Target, this_machine, variants_of
from runtime import BuiltOn, ClassifierLoadError, batch_profiles, load_classifier
from tests import fake_gpu
from tests.export import checkpoints

MACHINE = BuiltOn("NVIDIA L4", "8.9", "", "580.65.06", "10.16.1.11")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.siglip(tmp_path_factory.mktemp("trt") / "checkpoint", {0: "Fake", 1: "Real"})


def settings(releases: Path, **changes: Any) -> ExportSettings:
    return ExportSettings(releases, **{"parity_images": 8, "backend": "tensorrt", "precision": "fp16", **changes})


@pytest.fixture(scope="module")
def release(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A plan in fp16, built on the machine of `fake_gpu`."""
    with pytest.MonkeyPatch.context() as patch:
        fake_gpu.use(patch)
        return export_checkpoint(locate_checkpoint(str(checkpoint)), settings(tmp_path_factory.mktemp("releases")))


def command(*arguments: str) -> Result:
    """The command, in this process: starting another one takes seconds of imports."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_without_a_gpu_the_command_says_so_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    done = command("--checkpoint", str(checkpoint), "--releases-dir", str(tmp_path), "--backend", "tensorrt")
    assert done.exit_code == 1
    assert "TensorRT builds on the GPU that will serve, and here no GPU is visible" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_gpu_is_an_option_of_the_onnxruntime_backend_alone() -> None:
    done = command("--backend", "tensorrt", "--gpu")
    assert done.exit_code == 2
    assert "--gpu needs --backend onnxruntime" in done.stderr


def use_tensorrt(monkeypatch: pytest.MonkeyPatch, library: str, package: str) -> None:
    """A machine with a GPU and these versions of TensorRT; "" for none."""
    fake_gpu.use(monkeypatch)
    monkeypatch.setattr("runtime.gpu.library_tensorrt", lambda: library)
    monkeypatch.setattr("runtime.gpu.package_tensorrt", lambda: package)
    monkeypatch.setattr("export.target.package_tensorrt", lambda: package)


@pytest.mark.parametrize(
    ("library", "package", "said"),
    [
        ("", "", "TensorRT is not installed: .*install the extra gpu-tensorrt"),
        ("10.13.2.6", "", r"tensorrt is not installed, and .*: pip install tensorrt-cu13==10\.13\.2\.6"),
        ("10.13.2.6", "11.4.0.106", "is 11.4.0.106, and the library that Triton loads here is 10.13.2.6"),
    ],
)
def test_the_tensorrt_that_builds_must_be_the_one_that_serves(
    library: str, package: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_tensorrt(monkeypatch, library, package)
    with pytest.raises(GpuError, match=said):
        this_machine()


def test_bindings_that_are_missing_are_told_before_the_long_part(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tensorrt(monkeypatch, "", "10.16.1.11")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(GpuError, match="pip install cuda-bindings"):
        this_machine()


def test_a_machine_that_has_everything_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tensorrt(monkeypatch, "", "10.16.1.11")
    assert this_machine() == MACHINE
    use_tensorrt(monkeypatch, "10.16.1.11", "10.16.1.11")
    assert this_machine() == MACHINE


def test_precisions_of_tensorrt() -> None:
    tried = variants_of("auto", Target("tensorrt"))
    assert [one[0].precision for one in tried] == ["bf16", "fp16", "fp32"]
    # Another arithmetic than OpenVINO's of the same name, so another name, and with it another EXPORT_ID.
    assert all("tensorrt" in one[0].name for one in tried)
    with pytest.raises(ExportError, match="int8 is for the python backend"):
        variants_of("int8", Target("tensorrt"))


def test_a_gpu_has_room_between_batches_and_nowhere_else() -> None:
    for precision, promised in TOLERANCES.items():
        assert tolerance_of(precision, gpu=False) == promised
        assert replace(tolerance_of(precision, gpu=True), max_batch_dp=promised.max_batch_dp) == promised
    assert tolerance_of("fp32", gpu=True).max_batch_dp == 1e-5


def test_a_plan_is_built_judged_and_released(
    checkpoint: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_files(release)
    assert release.manifest["built_on"] == {
        "gpu": "NVIDIA L4", "compute_capability": "8.9", "mig": "", "driver": "580.65.06", "tensorrt": "10.16.1.11",
    }  # fmt: skip
    entry = release.repository / "classifier"
    assert sorted(path.name for path in (entry / "1").iterdir()) == ["model.plan", "runtime.json"]
    plan = json.loads((entry / "1" / "model.plan").read_bytes())
    assert not plan["tf32"]
    ranges = [[shape[0] for shape in profile["PIXELS"]] for profile in plan["profiles"]]
    assert ranges == [[1, 1, 1], [2, 8, 8], [9, 32, 32]]
    assert [profile["STATUS"] for profile in plan["profiles"]] == [[[n, 1] for n in shape] for shape in ranges]
    parity = json.loads((release.path / "export_report.json").read_text())["parity"]
    assert 1e-7 < parity["max_dp"] <= TOLERANCES["fp16"].max_dp
    fake_gpu.use(monkeypatch)
    located, again = locate_checkpoint(str(checkpoint)), settings(release.path.parent)
    assert existing_release(located, again) == release
    # The driver's versions are nobody's business, and not told to clients.
    assert "580.65" not in (release.repository / "deepfake_detector" / "config.pbtxt").read_text()
    fake_gpu.use(monkeypatch, "NVIDIA A10, 8.6, 580.65.06, [N/A]")
    assert existing_release(located, again) is None


def test_triton_is_told_of_every_profile_and_warms_it(release: Release) -> None:
    config = read_config(release.repository / "classifier" / "config.pbtxt")
    assert (config.backend, config.default_model_filename, config.max_batch_size) == ("tensorrt", "model.plan", 32)
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.profile)) == (1, 1, ["0", "1", "2"])  # 1: KIND_GPU
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 32]
    assert [warmup.batch_size for warmup in config.model_warmup] == [1, 8, 32]
    assert warmed_batches(release.repository) == (1, 8, 32)
    assert not config.optimization.execution_accelerators.gpu_execution_accelerator


def test_a_plan_answers_batches_of_every_size(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    classifier = load_classifier(release.repository / "classifier" / "1")
    images = np.random.default_rng(3).integers(0, 256, (45, 64, 64, 3), dtype=np.uint8)
    status = np.zeros((45, 1), np.int32)
    status[40] = 6
    whole = classifier.run(images, status)
    assert whole.fake_probability.shape == (45, 1)
    assert np.flatnonzero(np.isnan(whole.fake_probability[:, 0])).tolist() == [40]
    assert (whole.export_id == release.manifest["description"]["export_id"]).all()
    for size in (1, 2, 8, 9, 32):
        part = classifier.run(images[:size], status[:size])
        np.testing.assert_allclose(part.probabilities, whole.probabilities[:size], atol=1e-3)
    assert [context.runs > 0 for context in classifier._contexts] == [True, True, True]
    classifier.close()


def test_a_plan_of_another_tensorrt_and_a_full_gpu_are_refused(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu.use(monkeypatch)
    folder = tmp_path / "1"
    shutil.copytree(release.repository / "classifier" / "1", folder)
    import cuda.bindings.runtime as fake_cuda

    monkeypatch.setattr(fake_cuda, "LIMIT_BYTES", 1000)
    with pytest.raises(ClassifierLoadError, match="cannot be run here: the GPU failed: cudaErrorMemoryAllocation"):
        load_classifier(folder)
    (folder / "model.plan").write_bytes(b"of TensorRT 9")
    with pytest.raises(ClassifierLoadError, match="built by another TensorRT, export it again"):
        load_classifier(folder)


def test_what_tensorrt_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    import onnx
    import tensorrt

    graph, plan, profiles = tmp_path / "model.onnx", tmp_path / "model.plan", batch_profiles(8, 32)
    graph.write_bytes(b"no graph")
    with pytest.raises(ExportError, match="TensorRT does not take the graph: DecodeError in the graph"):
        build_plan(graph, plan, 64, profiles, tensorrt)
    onnx.save_model(onnx.ModelProto(producer_name="unbuildable"), str(graph))
    with pytest.raises(ExportError, match="could not build the plan on this GPU"):
        build_plan(graph, plan, 64, profiles, tensorrt)
    monkeypatch.setattr(tensorrt.Builder, "__init__", _broken_factory)
    with pytest.raises(ExportError, match="cannot start on this GPU"):
        build_plan(graph, plan, 64, profiles, tensorrt)
    assert not plan.exists()


def _broken_factory(*_: object) -> None:
    raise TypeError("pybind11::init(): factory function returned nullptr")


def test_a_drifting_plan_is_not_released(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    with pytest.raises(ExportError, match=r"fp16 \(tensorrt\): max \|dp\|"):
        export_checkpoint(locate_checkpoint(str(checkpoint)), settings(tmp_path, tolerance=1e-9))
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_scores_undecoded_images_is_not_released(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate bites: a runtime that optimises the NaN away is no classifier of ours."""
    fake_gpu.use(monkeypatch)
    from runtime.tensorrt_classifier import TensorRtClassifier

    run = TensorRtClassifier.run
    monkeypatch.setattr(TensorRtClassifier, "run", lambda self, pixels, status: run(self, pixels, status * 0))
    with pytest.raises(ExportError, match="a probability to an image that was not decoded"):
        export_checkpoint(locate_checkpoint(str(checkpoint)), settings(tmp_path))


def test_the_command_builds_a_plan_and_says_for_what(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu.use(monkeypatch)
    done = command(
        "--checkpoint", str(checkpoint), "--releases-dir", str(tmp_path), "--backend", "tensorrt",
        "--precision", "fp16", "--parity-images", "8",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "for          NVIDIA L4 (compute capability 8.9), TensorRT 10.16.1.11, and no other" in done.stdout
    assert read_release(tmp_path / "current").manifest["description"]["backend"] == "tensorrt"
