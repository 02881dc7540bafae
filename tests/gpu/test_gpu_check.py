"""`python -m tests.gpu`: what it says without a GPU, and its claims as far as they can be made without one."""

import itertools
import sys
from pathlib import Path

import pytest

from deploy.errors import StartError
from deploy.triton.canary import Canary
from export.release import Release
from tests import fake_gpu
from tests.export import checkpoints
from tests.gpu import __main__ as gpu_check


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program sets this variable for its whole process."""
    monkeypatch.setenv("TRITON_SERVER_DIR", "/opt/tritonserver")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["gpu_check", *arguments])
    with pytest.raises(SystemExit) as ended:
        gpu_check.main()
    return ended.value.code


def test_without_a_gpu_nothing_is_checked_and_the_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, "--checkpoint", "someone/some-model") == 3
    printed = capsys.readouterr()
    assert printed.err.startswith("gpu_check: nothing was checked: no GPU is visible")
    assert "PASS" not in printed.out


def test_without_tritonserver_it_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.use(monkeypatch)
    monkeypatch.setenv("TRITON_SERVER_DIR", str(tmp_path))
    said = run_main(monkeypatch, "--checkpoint", str(tmp_path))
    assert "there is no bin/tritonserver in it" in str(said)


def test_usage_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_main(monkeypatch) == 2
    assert run_main(monkeypatch, "--checkpoint", "x", "--only", "no/such/case") == 2


def test_each_claim_passes_or_fails_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plans are those of `fake_gpu`, which refuses the first one; the server is one that ends at once."""
    fake_gpu.use(monkeypatch)
    import tensorrt

    build, calls = tensorrt.Builder.build_serialized_network, itertools.count()
    monkeypatch.setattr(
        tensorrt.Builder, "build_serialized_network", lambda *args: build(*args) if next(calls) else None
    )
    checkpoint = checkpoints.siglip(tmp_path / "checkpoint", {0: "Fake", 1: "Real"})
    home = tmp_path / "home"
    _write_server(home, "echo no such backend; exit 1")
    monkeypatch.setenv("TRITON_SERVER_DIR", str(home))
    cases = ("--only", "tensorrt/fp16", "tensorrt/fp32")
    folder = ("--folder", str(tmp_path / "folder"))
    assert run_main(monkeypatch, "--checkpoint", str(checkpoint), *folder, *cases) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "on NVIDIA L4 (compute capability 8.9, driver 580.65.06)"
    assert lines[1].startswith("FAIL  tensorrt/fp16 passes the gate")
    assert "could not build the plan on this GPU" in lines[1]
    assert lines[2].startswith("PASS  tensorrt/fp32 passes the gate: max |dp|")
    assert lines[3].startswith("FAIL  tensorrt/fp32 is served: Triton ended with code 1")
    assert "no such backend" in lines[4]
    assert lines[5].startswith("PASS  tensorrt/fp32 is refused on another GPU: release ")
    assert lines[-1] == "2 passed, 2 failed"


def test_an_onnxruntime_without_cuda_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GPU is there, and the onnxruntime of this machine, which takes none and says nothing."""
    fake_gpu.use(monkeypatch)
    checkpoint = checkpoints.siglip(tmp_path / "checkpoint", {0: "Fake", 1: "Real"})
    _write_server(tmp_path / "home", "exit 1")
    monkeypatch.setenv("TRITON_SERVER_DIR", str(tmp_path / "home"))
    assert run_main(monkeypatch, "--checkpoint", str(checkpoint), "--only", "onnxruntime/fp16") == 1
    _, failed, last = capsys.readouterr().out.splitlines()
    assert failed.startswith("FAIL  onnxruntime/fp16 passes the gate: ")
    assert "fell back to the CPU" in failed
    assert last == "0 passed, 1 failed"


def _write_server(home: Path, line: str) -> None:
    program = home / "bin" / "tritonserver"
    stub = home / "backends" / "python" / "triton_python_backend_stub"
    for path in (program, stub):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


def test_a_real_triton_is_ready_after_its_batches_and_scores_them_alike(
    tiny_release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_SERVER_DIR", raising=False)  # the wheel's server here, that of NVIDIA's image there
    with gpu_check._running(tiny_release) as (url, ready_s):
        assert ready_s > 0
        assert gpu_check._spread(url, (1, 8, 32)) <= 1e-6
        canary = Canary(url)
        assert canary.batch_failure((2, 32)) == ""
    assert canary.batch_failure((8,)).startswith("a batch of 8 was not scored: ")
    canary.close()


def test_a_server_that_is_not_ready_in_time_is_given_up(
    tiny_release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_server(tmp_path, "exec sleep 60")
    monkeypatch.setenv("TRITON_SERVER_DIR", str(tmp_path))
    with pytest.raises(StartError, match=r"not ready within 0\.1 s"), gpu_check._running(tiny_release, 0.1):
        pass


def test_every_case_is_one_that_the_export_offers() -> None:
    from export.target import Target, variants_of

    for case in gpu_check.CASES:
        assert variants_of(case.precision, Target(case.backend, gpu=True))
    assert {case.backend for case in gpu_check.CASES} == {"tensorrt", "onnxruntime"}
