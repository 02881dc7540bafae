"""onnxruntime on a GPU: what is refused where there is none, what is taken by default, and what Triton is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from export.checkpoint.hub import locate_checkpoint
from export.errors import GpuError
from export.gate import candidates
from export.gate.parity import TOLERANCES, Tolerance
from export.release import Release, read_config, read_release
from export.report import REPORT_FILE
from export.run import export_checkpoint
from export.settings import ExportSettings
from export.target import Target, variants_of
from runtime import RuntimeSpec
from tests import fake_gpu
from tests.export import checkpoints
from tests.export.test_tensorrt import command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.siglip(tmp_path_factory.mktemp("cuda") / "checkpoint", {0: "Fake", 1: "Real"})


def arguments(checkpoint: Path, releases: Path, *more: str) -> list[str]:
    made_by = ("--backend", "onnxruntime", "--gpu", "--parity-images", "8", *more)
    return ["--checkpoint", str(checkpoint), "--releases-dir", str(releases), *made_by]


def spec_of(release: Release) -> RuntimeSpec:
    return RuntimeSpec.load(release.repository / "classifier" / "1")


def test_an_onnxruntime_that_falls_back_to_the_cpu_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """This machine's own onnxruntime: it has no CUDA, and says nothing where it is asked for it."""
    settings = ExportSettings(tmp_path, backend="onnxruntime", gpu=True)
    with pytest.raises(GpuError, match=r"CUDA was asked for, and onnxruntime .* fell back to the CPU: .*extra gpu"):
        export_checkpoint(locate_checkpoint(str(checkpoint)), settings)
    done = command(*arguments(checkpoint, tmp_path))
    assert done.exit_code == 1
    assert done.stderr.startswith("deepfake-export: the gate judges on the GPU that will serve: CUDA was asked for")
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_takes_fp16_by_default_or_what_is_faster_there() -> None:
    tried = [
        [one.precision for one in alternatives] for alternatives in variants_of("auto", Target("onnxruntime", gpu=True))
    ]
    assert tried == [["fp16"], ["fp32"]]
    assert [one.precision for (one,) in variants_of("auto", Target("onnxruntime"))] == ["fp32"]


def test_fp16_that_does_not_pass_leaves_fp32_and_a_line_that_says_so(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu.use_cuda(monkeypatch)
    _rates(monkeypatch, fp16=2.0, fp32=1.0)
    done = command(*arguments(checkpoint, tmp_path / "passes"))
    assert done.exit_code == 0, done.output
    served, other = [line for line in done.stdout.splitlines() if line.startswith("precision")]
    assert served.startswith("precision fp16")
    assert served.endswith("<- served")
    assert other == "precision fp32: 1.0 images/s by the classifier alone here, a faster one passed the gate"
    assert spec_of(read_release(tmp_path / "passes" / "current")).provider_options == {}

    monkeypatch.setitem(TOLERANCES, "fp16", Tolerance(max_dp=1e-9, mean_dp=1e-9, max_dlogit=1e-9, max_batch_dp=1e-9))
    done = command(*arguments(checkpoint, tmp_path / "drifts"))
    assert done.exit_code == 0, done.output
    served, other = [line for line in done.stdout.splitlines() if line.startswith("precision")]
    assert served.startswith("precision fp32")
    assert served.endswith("<- served")
    assert "precision fp16: 2.0 images/s by the classifier alone here, refused: max |d" in other


def _rates(monkeypatch: pytest.MonkeyPatch, **images_per_s: float) -> None:
    """Times nothing: on a CPU fp16 is the slower one."""
    monkeypatch.setattr(
        candidates,
        "_timed",
        lambda contenders, _size_px, _progress: [
            replace(one, candidate=replace(one.candidate, images_per_s=images_per_s[one.candidate.variant.precision]))
            for one in contenders
        ],
    )


def test_fp32_on_a_gpu_is_no_tf32(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use_cuda(monkeypatch)
    settings = ExportSettings(tmp_path, backend="onnxruntime", gpu=True, parity_images=8)
    release = export_checkpoint(locate_checkpoint(str(checkpoint)), settings)
    config = read_config(release.repository / "classifier" / "config.pbtxt")
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, dict(accelerator.parameters)) == ("cuda", {"use_tf32": "0"})
    assert [warmup.batch_size for warmup in config.model_warmup] == [1, 8, 32]
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.profile)) == (1, 1, [])  # profiles are the tensorrt backend's
    spec = spec_of(release)
    assert (spec.cuda, spec.provider_options) == (True, {"use_tf32": "0"})
    assert release.manifest["built_on"] is None
    report = json.loads((release.path / REPORT_FILE).read_text(encoding="utf-8"))
    assert [tried["variant"] for tried in report["candidates"]] == ["fp32"]
