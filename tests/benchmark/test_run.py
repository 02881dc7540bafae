"""`deepfake-bench run` end to end, against a real service that runs already."""

import json
from pathlib import Path

from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.results import ResultsFile
from benchmark.run import read_figures
from tests.service import Service

PARTS = "ratio,latency,served,sweeps,stages,memory"


def test_a_running_deployment_is_measured_and_nothing_started(service: Service, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = CliRunner().invoke(
        app,
        [
            "run", "--quick", "--only", PARTS, "--gateway", service.url, "--grpc", service.grpc, "--media-root",
            str(service.media_root), "--perf-analyzer", "no-such-program", "--folder", str(tmp_path / "folder"),
            "--results", str(results), "--report", str(tmp_path / "RESULTS.md"),
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    records = ResultsFile(results).read()
    assert {name: record.status for name, record in records.items()} == {
        "ratio": "measured", "latency": "measured", "stages": "measured",
        "served": "left out", "sweeps": "left out", "memory": "left out",
    }  # fmt: skip
    assert "perf_analyzer is not on PATH" in records["sweeps"].reason
    figures = read_figures(records)
    assert figures["ratio"].rate("ours").median > 1
    (alone, together) = figures["stages"].served
    assert {share.model for share in alone.models} == {"preprocess", "classifier", "deepfake_detector"}
    assert 0 < alone.hop_ms < alone.client_ms
    assert together.clients > alone.clients
    assert "| fp32: images/s over the seed's" in (tmp_path / "RESULTS.md").read_text("utf-8")
    assert list(service.media_root.glob("bench-*")) == []  # its frames are gone again
    assert json.loads(results.read_text())["parts"]["ratio"]["figures"]["frames"] == 30
