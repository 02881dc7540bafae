"""Several models on one data set, side by side: `python -m evaluation.compare NAME=FOLDER NAME=FOLDER ...`.

Each FOLDER holds a results.json that `deepfake-evaluate` wrote over the same files. Prints Markdown: each model's
figures, the difference of its AUC from the first one's over the files that both scored, and its AUC when degraded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import ValidationError

from deepfake_client.command_line.exits import USAGE, fail, run
from deepfake_client.command_line.help import new_app, styled
from evaluation.errors import ComparisonError, EvaluationError
from evaluation.people import groups_of
from evaluation.results import RESULTS_NAME, FileResult, Results
from evaluation.statistics.bootstrap import BootstrapPlan, Estimate, estimate
from evaluation.statistics.metrics import ranking_metrics


@dataclass(frozen=True)
class Contestant:
    """A model and its result.

    Attributes:
        name: What the table calls it.
        results: Its result.
    """

    name: str
    results: Results


def read_contestant(argument: str) -> Contestant:
    """Reads `NAME=FOLDER`. With `FOLDER` alone the model's own name is used.

    Raises:
        ComparisonError: There is no result there, or none of this version.
    """
    name, _, folder = argument.rpartition("=")
    path = Path(folder) / RESULTS_NAME
    try:
        results = Results.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ComparisonError(f"{path} cannot be read ({error.strerror}): run deepfake-evaluate first") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ComparisonError(f"{path} is no result of this version: run deepfake-evaluate again") from error
    return Contestant(name or results.model.name, results)


def auc_difference(first: Results, other: Results, plan: BootstrapPlan | None = None) -> Estimate:
    """AUC of the other minus that of the first, over the files that both scored, with a 95% interval.

    Files are paired by their content, wherever they lie. Each resample draws the same files for both (paired,
    stratified by class, whole people where they are named), so that what the files have in common cancels out.
    """
    p_of = [{_content(file): file.fake_probability for file in result.files} for result in (first, other)]
    both = [file for file in first.files if all(p.get(_content(file)) is not None for p in p_of)]
    is_fake = np.array([file.label == "fake" for file in both], bool)
    p = [np.array([scores[_content(file)] for file in both], np.float64) for scores in p_of]

    def statistics(files: NDArray[np.intp]) -> dict[str, float]:
        one, two = (ranking_metrics(is_fake[files], scores[files])["auc"] for scores in p)
        return {"change": two - one}

    groups = groups_of([file.person or "" for file in both])
    return estimate(statistics, is_fake, plan or BootstrapPlan(), "a class is missing", groups)["change"]


def _content(file: FileResult) -> tuple[str, str | None]:
    """What names a file in both results, wherever it lies."""
    return file.label, file.sha256


def comparison_table(contestants: Sequence[Contestant]) -> str:
    """The tables in Markdown.

    Args:
        contestants: Two at least; the first is what the others are compared with.

    Raises:
        ComparisonError: They were not measured on the same files.
    """
    first = contestants[0].results
    for contestant in contestants[1:]:
        if contestant.results.dataset.digest != first.dataset.digest:
            raise ComparisonError(
                f"{contestant.name} was measured on other files than {contestants[0].name}: evaluate both on the same"
            )
    rows = [
        "| model | AUC | minus the first | EER | TPR at 5% FPR | ECE | uncertain | files without a score |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(contestant, first) for contestant in contestants),
    ]
    if degradations := [row.degradation for row in first.robustness]:
        rows += ["", f"| AUC | clean | {' | '.join(degradations)} |", "|---" * (2 + len(degradations)) + "|"]
        rows += [_degraded_row(contestant, degradations) for contestant in contestants]
    return "\n".join(rows) + "\n"


def _row(contestant: Contestant, first: Results) -> str:
    results = contestant.results
    metrics = results.metrics
    change = "" if results is first else auc_difference(first, results).text("+")
    unscored = sum(file.fake_probability is None for file in results.files)
    figures = (metrics.auc, metrics.eer, metrics.tpr_at_5pct_fpr, metrics.ece, metrics.uncertain_rate)
    auc, *others = (figure.text() for figure in figures)
    return f"| {' | '.join([contestant.name, auc, change, *others, str(unscored)])} |"


def _degraded_row(contestant: Contestant, degradations: Sequence[str]) -> str:
    found = {row.degradation: row.auc for row in contestant.results.robustness}
    cells = [
        f"{found[name].degraded.value:.3f} ({found[name].change.text('+')})"
        if name in found and found[name].degraded.value is not None
        else "-"
        for name in degradations
    ]
    return f"| {' | '.join([contestant.name, contestant.results.metrics.auc.text(), *cells])} |"


PROGRAM = "python -m evaluation.compare"

EXIT_CODES = {0: "printed", 1: "a result cannot be read, or they are of other files: the message says which", **USAGE}
EXAMPLES = ("python -m evaluation.compare old=results/old new=results/new",)

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES))
def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=FOLDER", help="Folders of deepfake-evaluate, two at least; the first is compared with."
        ),
    ],
) -> None:
    """Prints several models' figures on one data set side by side, as Markdown."""
    try:
        if len(results) < 2:
            raise ComparisonError("give two results at least")
        print(comparison_table([read_contestant(argument) for argument in results]), end="")
    except EvaluationError as error:
        fail(PROGRAM, str(error), 1)


if __name__ == "__main__":
    run(app, PROGRAM)
