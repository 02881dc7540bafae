"""RESULTS.md, from figures to text and pictures."""

import itertools
import re
from pathlib import Path

from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.options import RunOptions
from benchmark.report import write_report
from benchmark.results import ResultsFile
from tests.benchmark.figures import FIGURES, record


def report(tmp_path: Path, **records: object) -> str:
    path = tmp_path / "RESULTS.md"
    write_report(records, path)  # type: ignore[arg-type]
    return path.read_text("utf-8")


def test_it_has_goals_tables_pictures_and_where_it_was_measured(tmp_path: Path) -> None:
    text = report(tmp_path, **{name: record(figures) for name, figures in FIGURES.items()})
    assert "| fp32: images/s over the seed's, 30 frames over HTTP | >= 1.35 | 1.40 (1.00-1.40) | met | yes |" in text
    assert (
        "| bf16: images/s over the seed's, 30 frames over HTTP | >= 2.7 (aim 3) | 2.50 (2.50-2.50) | **not met**"
        in text
    )
    assert "| int8: images/s over the seed's, 30 frames over HTTP | >= 4 (aim 5) | - | not measured" in text
    assert "Not measured" not in text
    assert "Some Xeon, 2 cores (avx2, amx_bf16), 23.5 GiB, no GPU, Linux 6; python 3.11.7" in text
    assert "`deepfake-bench run`" in text
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert pictures == ["plots/ratio.svg", "plots/sweeps.svg", "plots/roofline.svg", "plots/growth.svg"]
    assert all(0 < (tmp_path / picture).stat().st_size < 100_000 for picture in pictures)


def test_tables_are_whole(tmp_path: Path) -> None:
    lines = report(tmp_path, **{name: record(figures) for name, figures in FIGURES.items()}).splitlines()
    for line, following in itertools.pairwise(lines):
        if line.startswith("|") and following.startswith("|"):
            assert line.count("|") == following.count("|"), line


def test_failed_and_missing_parts_are_named(tmp_path: Path) -> None:
    text = report(
        tmp_path, memory=record(None, "failed", "OSError: no\nport"), sweeps=record(None, "left out", "no tool")
    )
    assert "| memory: peak memory of each process | failed | OSError: no port |" in text
    assert "| sweeps: the ensemble over gRPC: concurrency and Poisson rates | left out | no tool |" in text
    assert "| drift: drift from PyTorch fp32 | not run |" in text


def test_figures_of_another_version_are_left_out(tmp_path: Path) -> None:
    text = report(tmp_path, memory=record({"servers": [{"name": "ours"}]}))
    assert "| memory: peak memory of each process | by another version | measure it again |" in text


def test_the_same_figures_give_the_same_files(tmp_path: Path) -> None:
    records = {name: record(figures) for name, figures in FIGURES.items()}
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        write_report(records, folder / "RESULTS.md")
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_the_report_is_written_again_from_the_results(tmp_path: Path) -> None:
    results = ResultsFile(tmp_path / "results.json")
    results.put("memory", record(FIGURES["memory"]))
    arguments = ["report", "--results", str(results.path), "--report", str(tmp_path / "RESULTS.md")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "tritonserver 300, gunicorn 60" in (tmp_path / "RESULTS.md").read_text("utf-8")


def test_wrong_usage_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for arguments in (["--only", "speed"], ["--skip", "speed"], ["--precisions", "fp8"], ["--grpc", "host:1"]):
        done = CliRunner().invoke(app, ["run", *arguments, "--results", str(tmp_path / "results.json")])
        assert done.exit_code == 2, done.output
    assert not (tmp_path / "results.json").exists()


def test_quick_options_are_smaller() -> None:
    quick = RunOptions().quickened()
    assert (quick.rounds, quick.quick) == (1, True)
    assert quick.window_s <= 2
