import contextlib
import dataclasses
import json
import math
from pathlib import Path

import pytest

from deepfake_client import DetectionResult, ModelInfo
from evaluation import results
from evaluation.dataset import Dataset, Label, LabelledFile
from evaluation.document import Run, build_results
from evaluation.errors import OutputError, OutputExistsError
from evaluation.figures import FigureData, write_figures
from evaluation.measure import ScoreTable
from evaluation.results import FIGURE_NAMES, RESULTS_NAME, CommandResult, check_output, staged
from evaluation.scoring import ScoredFile
from tests.inference_server import DESCRIPTION
from tests.service import ROOT


def test_the_committed_schema_is_the_codes() -> None:
    """Make it again with: python -m evaluation.results > evaluation/results.schema.json."""
    committed = (ROOT / "evaluation" / "results.schema.json").read_text("utf-8")
    assert committed == results.schema_text()


def test_the_schema_refuses_what_it_does_not_know() -> None:
    schema = json.loads(results.schema_text())
    objects = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in objects)
    assert all(set(part["required"]) == set(part["properties"]) for part in objects)


def a_run(real: list[float], fake: list[float], seed: int = 0) -> Run:
    files = [(Label.REAL, p) for p in real] + [(Label.FAKE, p) for p in fake]
    rows = tuple(
        ScoredFile(
            LabelledFile(Path(f"{n}.jpg"), f"{n}.jpg", label, f"{n:064}"), p, DetectionResult.REAL, latency_s=0.1
        )
        for n, (label, p) in enumerate(files)
    )
    info = ModelInfo.from_json(json.dumps(DESCRIPTION))
    command = CommandResult(
        directory="set", target="host:1", workers=2, timeout_s=60.0, outage_wait_s=30.0, resamples=100, seed=seed,
        prevalence=0.01, degradations=[],
    )  # fmt: skip
    return Run(command, (), Dataset(Path("set"), tuple(row.file for row in rows)), info, rows)


def test_the_same_seed_gives_the_same_intervals_and_pictures(tmp_path: Path) -> None:
    runs = [a_run([0.1, 0.2, 0.4, 0.8], [0.3, 0.8, 0.9, 0.95], seed) for seed in (5, 5, 6)]
    one, two, three = (build_results(run) for run in runs)
    assert one.metrics == two.metrics
    assert one.metrics.auc.value == three.metrics.auc.value
    assert one.metrics != three.metrics
    pictures = []
    for number, run in enumerate(runs[:2]):
        folder = tmp_path / str(number)
        folder.mkdir()
        names = write_figures(FigureData(one, ScoreTable.of(run.rows)), folder, ["png"])
        assert names == ["roc.png", "scores.png", "reliability.png"]
        pictures.append([(folder / name).read_bytes() for name in names])
    assert pictures[0] == pictures[1]


def test_a_number_that_is_not_finite_is_refused() -> None:
    document = build_results(a_run([0.1], [0.9]))
    document.json_text()
    bad = dataclasses.replace(document.metrics.auc, value=math.nan)
    metrics = document.metrics.model_copy(update={"auc": bad})
    with pytest.raises(ValueError, match="JSON compliant"):
        document.model_copy(update={"metrics": metrics}).json_text()


@pytest.mark.parametrize(
    ("real", "fake", "says", "silent"),
    [
        (99, 100, ["99 real files are too few for a TPR at 1% FPR"], ["too narrow", "5% FPR", "no width"]),
        (100, 100, [], ["too few", "ECE"]),
        (19, 100, ["19 real files are too few for a TPR at 5% FPR", "too narrow", "ECE of 119"], ["99th"]),
        (40, 40, ["The 99th percentile of 80"], ["too narrow"]),
    ],
)
def test_what_is_said_of_small_samples(real: int, fake: int, says: list[str], silent: list[str]) -> None:
    spread = [n / 100 for n in range(100)]
    notes = " ".join(build_results(a_run(spread[:real], spread[:fake])).notes)
    assert all(part in notes for part in says), notes
    assert not any(part in notes for part in silent), notes


def test_a_perfect_separation_is_not_taken_for_certainty() -> None:
    document = build_results(a_run([0.1] * 50, [0.9] * 50))
    assert document.metrics.auc.value == document.metrics.auc.low == 1.0
    assert any("no width" in note for note in document.notes)


def test_a_write_that_fails_leaves_the_earlier_result(tmp_path: Path) -> None:
    (tmp_path / RESULTS_NAME).write_text("old")
    with contextlib.suppress(ZeroDivisionError), staged(tmp_path) as scratch:
        (scratch / RESULTS_NAME).write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS_NAME]
    assert (tmp_path / RESULTS_NAME).read_text() == "old"
    with staged(tmp_path) as scratch:
        (scratch / "roc.png").write_text("new")
        (scratch / RESULTS_NAME).write_text("new")
    assert (tmp_path / RESULTS_NAME).read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {RESULTS_NAME, "roc.png"}


@pytest.mark.parametrize("name", [RESULTS_NAME, *(f"{name}.svg" for name in FIGURE_NAMES)])
def test_files_of_an_earlier_result_refuse_a_new_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(OutputExistsError, match=name):
        check_output(tmp_path, overwrite=False)
    check_output(tmp_path, overwrite=True)


def test_other_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError):
            check_output(place, overwrite=True)
    check_output(tmp_path / "a" / "b", overwrite=False)
    assert (tmp_path / "a" / "b").is_dir()
