"""`deepfake-bench plan` as a user calls it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.parts.video_ratio import VideoRates
from benchmark.results import PartRecord, ResultsFile
from tests.benchmark.figures import MACHINE


def plan(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    rates = VideoRates(30, 2, {"seed b1": [5.0], "ours bf16": [25.0, 20.0, 30.0]})
    ResultsFile(path).put("ratio", PartRecord("measured", "", 1.0, "2026-01-02", "deepfake-bench run", MACHINE, rates))
    return path


def test_the_measured_rate_and_its_interval_are_planned_with(results: Path) -> None:
    done = plan(
        "--videos-per-day", 864_000, "--peak-to-mean", 2, "--results", results, "--precision", "bf16",
        "--utilisation", 0.75, "--node-price", 0.1, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["rate"]["frames_per_s"] == {"median": 25.0, "low": 20.0, "high": 30.0, "rounds": 3}
    assert "ours bf16, 2026-01-02, Some Xeon, 2 cores, no GPU" in document["rate"]["source"]
    assert document["demand"]["peak_frames_per_s"] == pytest.approx(600)
    assert [document["plan"][name]["nodes"] for name in ("slowest", "median", "fastest")] == [41, 33, 28]
    assert document["plan"]["slowest"]["cost_per_day"] == pytest.approx(41 * 0.1 * 24)


def test_the_table_says_what_it_is_made_from(results: Path) -> None:
    done = plan("--videos-per-day", 864_000, "--peak-to-mean", 2, "--results", results, "--precision", "bf16")
    assert done.exit_code == 0, done.output
    assert "20.00 videos/s, 600.0 frames/s at the peak" in done.stdout
    assert "25.0 (20.0-30.0) frames/s (ours bf16" in done.stdout
    assert "slowest round" in done.stdout
    assert "with a probability of 75%" in done.stdout
    assert "cost" not in done.stdout
    assert "Not in it: decoding" in done.stdout


def test_a_given_rate_needs_no_file(tmp_path: Path) -> None:
    done = plan("--videos-per-day", 1e6, "--frames-per-second", 900, "--gpus-per-node", 2, "--results", tmp_path / "no")
    assert done.exit_code == 0, done.output
    assert "one measurement" in done.stdout
    assert "given on the command line" in done.stdout
    assert "nobody knows how far it is off" in done.stdout


def test_rounds_are_given_one_by_one() -> None:
    done = plan("--videos-per-day", 1e6, "--frames-per-second", 900, "--frames-per-second", 1100, "--json")
    assert json.loads(done.stdout)["rate"]["frames_per_s"] == {
        "median": 1000.0, "low": 900.0, "high": 1100.0, "rounds": 2,
    }  # fmt: skip


def test_no_figure_of_a_gpu_is_made_up(results: Path) -> None:
    done = plan("--videos-per-day", 1e6, "--gpus-per-node", 1, "--results", results, "--precision", "bf16")
    assert done.exit_code == 1
    assert "was measured without one: measure yours" in done.stderr


def test_a_running_deployment_was_measured_from_elsewhere(results: Path) -> None:
    """What `run --gateway` writes: the machine is the one that asked."""
    record = ResultsFile(results).read()["ratio"]
    ResultsFile(results).put("ratio", replace(record, figures=VideoRates(30, 2, {"ours": [900.0, 1000.0]})))
    done = plan("--videos-per-day", 1e6, "--gpus-per-node", 1, "--results", results)
    assert done.exit_code == 0, done.output
    assert "950.0 (900.0-1000.0) frames/s (a running deployment, 2026-01-02)" in done.stdout


def test_a_machine_with_a_gpu_is_planned_with(results: Path) -> None:
    record = ResultsFile(results).read()["ratio"]
    ResultsFile(results).put("ratio", replace(record, machine=replace(MACHINE, gpus=("Some GPU",))))
    done = plan("--videos-per-day", 1e6, "--gpus-per-node", 1, "--results", results, "--precision", "bf16")
    assert done.exit_code == 0, done.output
    assert "Some GPU" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--videos-per-day", "nan"), "videos_per_day must be more than 0"),
        (("--videos-per-day", 0), "videos_per_day must be more than 0"),
        (("--videos-per-day", 10, "--utilisation", 1), "between 0 and 1"),
        (("--videos-per-day", 10, "--peak-to-mean", 0.5), "a peak is no less than a mean"),
        (("--videos-per-day", 10, "--frames-per-second", -3), "frames_per_second must be more than 0"),
        (("--videos-per-day", 10, "--precision", "int4"), "no rate of the precision int4, only of bf16"),
        (("--videos-per-day", 1e300), "more than 1,000,000 instances"),
    ],
)
def test_nonsense_is_one_line_and_exit_code_1(results: Path, arguments: tuple[object, ...], message: str) -> None:
    precision = () if "--precision" in arguments else ("--precision", "bf16")
    done = plan(*arguments, "--results", results, *precision)
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_without_the_figure_is_refused(tmp_path: Path) -> None:
    done = plan("--videos-per-day", 10, "--results", tmp_path / "none.json")
    assert done.exit_code == 1
    assert "has no measured rate: run `deepfake-bench run --only ratio`" in done.stderr
    (tmp_path / "broken.json").write_text("{")
    done = plan("--videos-per-day", 10, "--results", tmp_path / "broken.json")
    assert done.exit_code == 1
    assert "is no results file" in done.stderr


def test_the_committed_results_can_be_planned_with() -> None:
    for precision in ("fp32", "bf16", "int8"):
        assert plan("--videos-per-day", 1e5, "--precision", precision).exit_code == 0
