"""`deepfake-bench run` end to end, in short, against a real service that runs already."""

from pathlib import Path

from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.results import read_results
from tests.service import Service


def run(service: Service, folder: Path, only: str, *options: str) -> Result:
    arguments = ["run", "--quick", "--only", only, "--gateway", service.url, "--folder", str(folder), *options]
    return CliRunner().invoke(app, [*arguments, "--output", str(folder / "results")])


def test_a_running_deployment_is_measured_and_nothing_started(
    service: Service, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    given = ("--media-root", str(service.media_root), "--grpc", service.grpc, "--checkpoint", str(tiny_checkpoint))
    done = run(service, tmp_path, "ratio,latency,tails,drift", *given)
    assert done.exit_code == 0, done.output
    figures = read_results(tmp_path / "results" / "results.json").parts
    assert list(figures) == ["ratio", "latency", "tails", "drift"]
    assert figures["ratio"].rows["ours"]["images/s"][0] > 1
    assert figures["latency"].rows["ours"]["p50, ms"][0] <= figures["latency"].rows["ours"]["p95, ms"][0]
    assert set(figures["tails"].rows) == {"ours, constant", "ours, poisson"}
    assert figures["drift"].rows["fp32"]["max_dp"][0] < 1e-4
    assert "## Tails at 70% of capacity" in (tmp_path / "results" / "report.md").read_text("utf-8")
    assert not (service.media_root / "deepfake-bench").exists()  # its frames are gone again


def test_what_cannot_be_measured_is_said(service: Service, tmp_path: Path) -> None:
    done = run(service, tmp_path, "ratio,gemm")
    assert done.exit_code == 1
    reasons = read_results(tmp_path / "results" / "results.json").not_measured
    assert "without --media-root" in reasons["ratio"]
    assert "nothing is started beside it" in reasons["gemm"]
    assert "gemm was not measured" in done.output
