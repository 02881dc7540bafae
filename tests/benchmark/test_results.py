"""results.json: complete after every part, whatever ends the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark import run
from benchmark.bench import Bench, ExportFailedError, ExportOutcome, LeftOutError
from benchmark.options import RunOptions
from benchmark.parts.catalogue import PARTS, Part
from benchmark.results import ResultsError, ResultsFile
from benchmark.run import read_figures, run_parts
from tests.benchmark.figures import FIGURES, MACHINE, record


@pytest.fixture
def results(tmp_path: Path) -> ResultsFile:
    return ResultsFile(tmp_path / "results.json")


def test_every_part_comes_back_as_it_was(results: ResultsFile) -> None:
    for name, figures in FIGURES.items():
        results.put(name, record(figures))
    assert set(FIGURES) == set(PARTS)
    assert read_figures(results.read()) == FIGURES


def test_a_part_measured_again_keeps_the_others(results: ResultsFile) -> None:
    results.put("memory", record(FIGURES["memory"]))
    results.put("start", record(None, "failed", "no port"))
    results.put("start", record(FIGURES["start"]))
    assert read_figures(results.read()) == {name: FIGURES[name] for name in ("memory", "start")}


def test_a_write_that_is_cut_off_leaves_the_last_state(results: ResultsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    results.put("memory", record(FIGURES["memory"]))
    before = results.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="no space"):
            results.put("start", record(FIGURES["start"]))
    assert results.path.read_bytes() == before
    assert [path.name for path in results.path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("content", ["{", "[]", '{"form": 99, "parts": {}}', '{"form": 1, "parts": {"memory": {}}}'])
def test_a_file_of_another_kind_is_refused_and_kept(results: ResultsFile, content: str) -> None:
    results.path.write_text(content)
    with pytest.raises(ResultsError, match=r"results\.json"):
        results.put("memory", record(None))
    assert results.path.read_text() == content


class NoBench:
    """A bench with nothing to measure with."""

    def __init__(self, options: RunOptions, _say: object) -> None:
        self.options = options
        self.exports: dict[str, ExportOutcome] = {}

    def __enter__(self) -> "NoBench":
        return self

    def __exit__(self, *_: object) -> None:
        return


def parts(monkeypatch: pytest.MonkeyPatch, **measures: Any) -> None:
    """Replaces the catalogue: each part raises its error or gives its figures."""

    def measure(outcome: Any) -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    catalogue = {
        name: Part(name, name, PARTS[name].form, lambda _bench, outcome=outcome: measure(outcome))
        for name, outcome in measures.items()
    }
    monkeypatch.setattr(run, "PARTS", catalogue)


def test_a_failed_part_says_why_and_the_others_go_on(results: ResultsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out, broken = LeftOutError("no perf_analyzer"), ValueError("no port")
    parts(monkeypatch, sweeps=left_out, memory=broken, start=FIGURES["start"])
    failed = run_parts(RunOptions(), ["sweeps", "memory", "start"], results, NoBench)  # type: ignore[arg-type]
    assert failed == ["memory"]
    found = {name: (record.status, record.reason) for name, record in results.read().items()}
    assert found == {
        "sweeps": ("left out", "no perf_analyzer"),
        "memory": ("failed", "ValueError: no port"),
        "start": ("measured", ""),
    }


def test_an_interrupted_run_keeps_what_was_measured(results: ResultsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    parts(monkeypatch, memory=FIGURES["memory"], start=KeyboardInterrupt(), drift=FIGURES["drift"])
    with pytest.raises(KeyboardInterrupt):
        run_parts(RunOptions(), ["memory", "start", "drift"], results, NoBench)  # type: ignore[arg-type]
    assert list(results.read()) == ["memory"]
    assert json.loads(results.path.read_text())["form"] == 1


def test_a_refused_file_is_noticed_before_anything_is_measured(
    results: ResultsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.path.write_text("mine")
    parts(monkeypatch, memory=AssertionError("measured"))
    with pytest.raises(ResultsError):
        run_parts(RunOptions(), ["memory"], results, NoBench)  # type: ignore[arg-type]


def test_the_machine_is_described() -> None:
    from benchmark.machine import this_machine

    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_gib > 0.1
    assert machine.versions["python"].startswith("3.")
    assert type(machine) is type(MACHINE)


def test_a_precision_that_is_refused_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(RunOptions(folder=tmp_path, checkpoint=tmp_path), lambda _line: None)
    refused = {"fp32": "", "bf16": "no AMX", "int8": ""}
    monkeypatch.setattr(bench, "exports", {name: ExportOutcome(reason, 1.0) for name, reason in refused.items()})
    assert bench.precisions == ("fp32", "int8")
    assert bench.detail == "int8"
    with pytest.raises(ExportFailedError, match="no AMX"):
        bench.release("bf16")
