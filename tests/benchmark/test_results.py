"""Figures of several rounds, their file and their report."""

from pathlib import Path

from benchmark.results import Figures, Results, percentile, ratios, spread, write_results

MACHINE = {"hardware": "Some Xeon, 2 cores, no GPU", "versions": "python 3.11", "commit": "0123456789ab"}


def test_a_spread() -> None:
    assert spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0-3.0)"
    assert spread([1.25, 3.0], 1) == "2.1 (1.2-3.0)"
    assert spread([1.25], 2) == "1.25"
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert [percentile([4, 1, 3, 2], percent) for percent in (1, 50, 75, 99)] == [1, 2, 3, 4]


def test_results_are_read_as_they_were_written_and_reported(tmp_path: Path) -> None:
    rows = {"ours fp32": {"images/s": [5.0, 7.0]}, "plain b1": {"images/s": [3.0]}}
    figures = Figures(title="Rates", note="One client.", columns={"images/s": 1}, rows=rows)
    results = Results(
        command="deepfake-bench run", measured_at="2026-01-02T03:04:05+00:00", **MACHINE,
        parts={"ratio": figures}, not_measured={"gemm": "it\nfailed"},
    )  # fmt: skip
    write_results(tmp_path / "out", results)
    assert Results.model_validate_json((tmp_path / "out" / "results.json").read_text("utf-8")) == results
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "## Rates\n\nOne client.\n\n| | images/s |\n|---|---|\n| ours fp32 | 6.0 (5.0-7.0) |" in report
    assert "## gemm: not measured\n\nit failed" in report
    assert "Some Xeon, 2 cores, no GPU; python 3.11" in report
    assert "2026-01-02T03:04:05+00:00, commit 0123456789ab, `deepfake-bench run`" in report


def test_this_machine_says_what_it_is() -> None:
    machine = Results(command="", measured_at="")
    assert "cores" in machine.hardware
    assert "torch" in machine.versions
    assert len(machine.commit.removesuffix("-dirty")) >= 7
