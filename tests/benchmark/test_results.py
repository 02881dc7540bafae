"""Figures of several rounds, their file and their report."""

from pathlib import Path

import pytest

from benchmark.machine import Machine, this_machine
from benchmark.results import Figures, Results, ResultsError, Spread, percentile, ratios, read_results, write_results

MACHINE = Machine("Some Xeon, 2 cores, no GPU", "python 3.11", "0123456789ab")


def run(parts: dict[str, Figures], not_measured: dict[str, str] | None = None) -> Results:
    return Results(
        command="deepfake-bench run", measured_at="2026-01-02T03:04:05+00:00", machine=MACHINE, parts=parts,
        not_measured=not_measured or {},
    )  # fmt: skip


def rates(**rows: list[float]) -> Figures:
    cells = {name.replace("_", " "): {"images/s": values} for name, values in rows.items()}
    return Figures(title="Rates", note="One client.", columns={"images/s": 1}, rows=cells)


def test_a_spread() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([1.25, 3.0]).text(1) == "2.1 (1.2-3.0)"
    assert Spread.of([1.25]).text(2) == "1.25"
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert [percentile([4, 1, 3, 2], percent) for percent in (1, 50, 75, 99)] == [1, 2, 3, 4]


def test_results_are_read_as_they_were_written_and_reported(tmp_path: Path) -> None:
    results = run({"ratio": rates(ours_fp32=[5.0, 7.0], plain_b1=[3.0])}, {"gemm": "it\nfailed"})
    write_results(tmp_path / "out", results)
    assert read_results(tmp_path / "out" / "results.json") == results
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "## Rates\n\nOne client.\n\n| | images/s |\n|---|---|\n| ours fp32 | 6.0 (5.0-7.0) |" in report
    assert "## gemm: not measured\n\nit failed" in report
    assert "Some Xeon, 2 cores, no GPU; python 3.11" in report
    assert "2026-01-02T03:04:05+00:00, commit 0123456789ab, `deepfake-bench run`" in report


def test_a_broken_file_and_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "none.json"):
        with pytest.raises(ResultsError, match="is no results file"):
            read_results(tmp_path / name)


def test_this_machine_says_what_it_is() -> None:
    machine = this_machine()
    assert "cores" in machine.hardware
    assert "torch" in machine.versions
    assert len(machine.commit.rstrip("+")) in (7, 12)
