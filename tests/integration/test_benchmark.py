"""`deepfake-bench run` end to end, in short, against a real service that runs already."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner, Result

from benchmark import parts, preprocess_pool
from benchmark.cli import app
from benchmark.results import Results
from benchmark.scaling_signal import Server, capacity_per_s, observe
from tests.media import photo
from tests.service import Service


def run(service: Service, folder: Path, only: str, *options: str) -> Result:
    arguments = ["run", "--rounds", "1", "--window-s", "1", "--only", only, "--gateway", service.url]
    folders = ["--cache-dir", str(folder), "--output", str(folder / "results")]
    return CliRunner().invoke(app, [*arguments, *folders, *options])


def results_in(folder: Path) -> Results:
    return Results.model_validate_json((folder / "results" / "results.json").read_text("utf-8"))


def test_a_running_deployment_is_measured_and_nothing_started(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests may take the processor after the capacity is measured: at 70% of it the service then refuses some.
    monkeypatch.setattr(parts, "LOAD_SHARE", 0.2)
    done = run(service, tmp_path, "ratio,latency,clients,tails", "--media-root", str(service.media_root))
    assert done.exit_code == 0, done.output
    figures = results_in(tmp_path).parts
    assert list(figures) == ["ratio", "latency", "clients", "tails"]
    assert figures["ratio"].rows["ours"]["images/s"][0] > 1
    assert figures["latency"].rows["ours"]["p50, ms"][0] <= figures["latency"].rows["ours"]["p95, ms"][0]
    assert all(figures["clients"].rows["ours"][column][0] > 1 for column in ("1 client", "8 clients"))
    assert set(figures["tails"].rows) == {"ours, constant", "ours, poisson"}
    assert "## Tails at 20% of capacity" in (tmp_path / "results" / "report.md").read_text("utf-8")
    assert not (service.media_root / "deepfake-bench").exists()  # its frames are gone again


def test_what_cannot_be_measured_is_said(service: Service, tmp_path: Path) -> None:
    done = run(service, tmp_path, "ratio,gemm")
    assert done.exit_code == 1
    reasons = results_in(tmp_path).not_measured
    assert "without --media-root" in reasons["ratio"]
    assert "nothing is started beside it" in reasons["gemm"]
    assert "gemm was not measured" in done.output


def test_a_running_triton_does_not_drift(service: Service, tiny_checkpoint: Path) -> None:
    arguments = ["drift", "--release", service.grpc, "--checkpoint", str(tiny_checkpoint), "--count", "6"]
    done = CliRunner().invoke(app, [*arguments, "--max-dp", "1e-4"])
    assert done.exit_code == 0, done.output
    assert "max_dp" in done.stdout


def test_what_an_autoscaler_could_see_is_read_from_a_running_triton(service: Service) -> None:
    metrics_url = f"http://127.0.0.1:{service.triton_metrics_port}/metrics"
    server = Server(service.grpc, metrics_url, photo("astronaut.png").read_bytes(), frames=1)
    capacity = capacity_per_s(server, 1)
    assert capacity > 1
    seen = observe(server, 0.3 * capacity, 0.3, frames=1, seconds=3)
    assert seen.answered_per_s > 0
    assert 0 < seen.processor_share <= 1.5
    known = server.metrics()
    for model in ("preprocess", "classifier"):
        assert known["nv_inference_compute_infer_duration_us", model] > 0
        assert ("nv_inference_queue_duration_us", model) in known
        assert ("nv_inference_pending_request_count", model) in known


def test_the_share_of_a_busy_classifier_is_read_behind_servers_that_only_preprocess(service: Service) -> None:
    """Here the service's own Triton is both."""
    image = photo("astronaut.png").read_bytes()
    seen = preprocess_pool.observe(service.grpc, [service.grpc], image, frames=2, seconds=2)
    assert seen.frames_per_s > 0
    assert 0 < seen.busy <= 1.05
    assert seen.pool_cores > 0
    assert seen.client_ms > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups are root's")
def test_a_server_gets_its_quota_of_processor_time() -> None:
    burn = "import time\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as child:
        try:
            process = psutil.Process(child.pid)
            with preprocess_pool.quota(process, 0.1):
                before, began = process.cpu_times().user, time.monotonic()
                time.sleep(3)
                share = (process.cpu_times().user - before) / (time.monotonic() - began)
        finally:
            child.kill()
    assert share < 0.2
