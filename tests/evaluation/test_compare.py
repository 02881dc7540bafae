import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deepfake_client import DetectionResult, ModelInfo
from evaluation.compare import Contestant, app, auc_difference, comparison_table, read_contestant
from evaluation.dataset import Dataset, Label, LabelledFile
from evaluation.document import Run, build_results
from evaluation.errors import ComparisonError
from evaluation.results import CommandResult, ComparisonResult, Results, RobustnessResult
from evaluation.scoring import ScoredFile
from evaluation.statistics.bootstrap import Estimate
from tests.evaluation.conftest import Evaluate
from tests.inference_server import DESCRIPTION, InferenceServer

TRUTH = [Label.REAL] * 40 + [Label.FAKE] * 40


def result_of(scores: Sequence[float | None], first_hash: int = 0) -> Results:
    rows = []
    for number, (label, p) in enumerate(zip(TRUTH, scores, strict=True)):
        file = LabelledFile(Path(f"{number}.jpg"), f"{number}.jpg", label, f"{first_hash + number:064}")
        if p is None:
            rows.append(ScoredFile(file, error_code="DECODE_FAILED", error_message="broken"))
        else:
            rows.append(ScoredFile(file, p, DetectionResult.REAL, latency_s=0.1))
    command = CommandResult(
        directory="set", target="host:1", workers=2, timeout_s=60.0, outage_wait_s=30.0, resamples=100, seed=0,
        prevalence=0.01, degradations=[],
    )  # fmt: skip
    info = ModelInfo.from_json(json.dumps(DESCRIPTION))
    return build_results(Run(command, (), Dataset(Path("set"), tuple(row.file for row in rows)), info, tuple(rows)))


@pytest.fixture
def scores() -> list[float]:
    """Overlapping scores of both classes."""
    rng = np.random.default_rng(0)
    return [*rng.uniform(0, 0.6, 40), *rng.uniform(0.3, 1, 40)]


def test_the_difference_is_paired(scores: list[float]) -> None:
    slightly_worse = [*scores[:39], 0.95, *scores[40:]]
    change = auc_difference(result_of(scores), result_of(slightly_worse))
    alone = result_of(slightly_worse).metrics.auc
    assert change.value is not None
    assert change.low is not None
    assert change.high is not None
    assert change.value == pytest.approx(alone.value - result_of(scores).metrics.auc.value)  # type: ignore[operator]
    assert change.low <= change.value < 0
    assert change.high <= 0  # no resample makes it better, however the files fall
    assert change.high - change.low < 0.7 * (alone.high - alone.low)  # type: ignore[operator]


def test_files_are_paired_by_content_wherever_they_lie(scores: list[float]) -> None:
    """The second result has the same files under the names of others: by name every pair would be a wrong one."""
    first, second = result_of(scores), result_of([*scores[:39], 0.95, *scores[40:]])
    names = [file.path for file in second.files]
    moved = [file.model_copy(update={"path": name}) for file, name in zip(second.files, reversed(names), strict=True)]
    assert auc_difference(first, second.model_copy(update={"files": moved})) == auc_difference(first, second)


def test_whole_people_are_drawn_where_they_are_named(scores: list[float]) -> None:
    """A model that is worse about one person of each class: how much depends on whether these are drawn."""
    other = [*scores[:30], *(1 - p for p in scores[30:50]), *scores[50:]]
    one, two = result_of(scores), result_of(other)
    people = [file.model_copy(update={"person": f"p{at // 10}"}) for at, file in enumerate(one.files)]
    by_file, by_person = auc_difference(one, two), auc_difference(one.model_copy(update={"files": people}), two)
    assert by_file.value == by_person.value
    assert by_person.high - by_person.low > 1.3 * (by_file.high - by_file.low)  # type: ignore[operator]


def test_files_that_one_of_them_did_not_score_count_for_neither(scores: list[float]) -> None:
    without = [None, *scores[1:]]
    other = [1.0, *scores[1:]]
    change = auc_difference(result_of(without), result_of(other))
    assert (change.value, change.low, change.high) == (0, 0, 0)


def test_the_table_shows_every_model(scores: list[float]) -> None:
    reversed_scores = [1 - p for p in scores]
    lines = comparison_table(
        [Contestant("good", result_of(scores)), Contestant("bad", result_of(reversed_scores))]
    ).splitlines()
    auc = result_of(scores).metrics.auc.value
    assert lines[2].startswith(f"| good | {auc:.3f} [")
    assert lines[3].startswith(f"| bad | {1 - auc:.3f} [")  # type: ignore[operator]
    assert f"| {1 - 2 * auc:+.3f} [" in lines[3]  # type: ignore[operator]
    assert len({line.count("|") for line in lines}) == 1


def test_degradations_stand_beside_the_clean_figure(scores: list[float]) -> None:
    clean = result_of(scores)

    def estimate(value: float) -> Estimate:
        return Estimate(value, value - 0.1, value + 0.1)

    auc = ComparisonResult(clean=clean.metrics.auc, degraded=estimate(0.7), change=estimate(-0.05))
    row = RobustnessResult(
        degradation="jpeg=50", meaning="", real_files=40, fake_files=40, not_applicable=0, failed=0, auc=auc, eer=auc,
        accuracy=auc, tpr_at_5pct_fpr=auc, mean_abs_dp=estimate(0.1),
    )  # fmt: skip
    degraded = clean.model_copy(update={"robustness": [row]})
    table = comparison_table([Contestant("a", degraded), Contestant("b", clean)]).splitlines()
    assert "| AUC | clean | jpeg=50 |" in table
    assert table[-2].endswith("| 0.700 (-0.050 [-0.150, +0.050]) |")
    assert table[-1].endswith("| - |")


def test_other_files_are_refused(scores: list[float]) -> None:
    with pytest.raises(ComparisonError, match="other files"):
        comparison_table([Contestant("a", result_of(scores)), Contestant("b", result_of(scores, first_hash=1))])


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match="run deepfake-evaluate first"):
        read_contestant(f"a={tmp_path}")
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ComparisonError, match="run deepfake-evaluate again"):
        read_contestant(str(tmp_path))


@pytest.mark.usefixtures("no_figures")
def test_the_command_compares_what_deepfake_evaluate_wrote(
    evaluate: Evaluate, folder: Path, server: InferenceServer, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        done = evaluate(folder, "--url", server.url, "--output", tmp_path / name)
        assert done.exit_code == 0, done.output
    said = CliRunner().invoke(app, [f"first={tmp_path / 'one'}", str(tmp_path / "two")])
    assert said.exit_code == 0, said.output
    assert "| first | " in said.output
    assert "+0.000 [+0.000, +0.000]" in said.output
    alone = CliRunner().invoke(app, [str(tmp_path / "one")])
    assert (alone.exit_code, "two results" in alone.output) == (1, True)
