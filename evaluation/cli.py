"""The command line: `deepfake-evaluate`, or `python -m evaluation`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deepfake_client import Detector
from deepfake_client.batch.progress import with_progress
from deepfake_client.command_line.exits import (
    EXIT_INTERRUPTED,
    EXIT_NOT_WRITTEN,
    EXIT_SOME_FAILED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    SCORING_EXIT_CODES,
    connected,
    fail,
    require_packages,
    run,
)
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import OutageWaitS, Seed, TimeoutS, Url, Version
from evaluation.dataset import find_dataset
from evaluation.degradation import STANDARD_SET, parse_degradation
from evaluation.document import Run, build_results
from evaluation.errors import EvaluationError, ModelChangedError, OutputError
from evaluation.figures import FigureData, write_figures
from evaluation.measure import ScoreTable
from evaluation.people import described
from evaluation.report import print_report
from evaluation.results import RESULTS_NAME, CommandResult, Results, check_output, staged
from evaluation.robustness import score_degraded
from evaluation.scoring import score_files

PROGRAM = "deepfake-evaluate"

EXIT_CODES = {
    **SCORING_EXIT_CODES,
    EXIT_UNREACHABLE: "no server answers (the result is over what was scored before), or it serves another model (no "
    "result)",
}
EXAMPLES = (
    "deepfake-evaluate my-set/test --output evaluation",
    "deepfake-evaluate my-set/test --robustness --url deploy/embedded_checkpoint",
)
GROUPS = {"url": "Server or model", "people": "Data", "workers": "Measurement", "output": "Results"}

_EXITS = {ModelChangedError: EXIT_UNREACHABLE, OutputError: EXIT_NOT_WRITTEN}  # others: usage

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS))
def evaluate(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY",
            help="Holds real/ and fake/ with images and videos, searched recursively.",
        ),
    ],
    url: Url = "localhost:8001",
    timeout_s: TimeoutS = None,
    outage_wait_s: OutageWaitS = 30.0,
    people: Annotated[
        Path | None,
        typer.Option(
            show_default="DIRECTORY/people.csv, if there",
            help="CSV with the columns file and person: intervals are drawn over people.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, help="Files in progress at the same time, at most two of them videos."),
    ] = 2,
    degrade: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=VALUE",
            help="Score every file again, degraded: jpeg=QUALITY, h264=CRF, hevc=CRF, downscale=FACTOR, blur=SIGMA_PX, "
            "crop=FACE_SIDES. May be given again.",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help=f"The standard degradations: {', '.join(d.name for d in STANDARD_SET)}."),
    ] = False,
    prevalence: Annotated[
        float, typer.Option(min=0, max=1, help="Share of fakes where the model is used, for the predictive value.")
    ] = 0.01,
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples of each interval.")] = 1000,
    seed: Seed = 0,
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Where results.json and the figures go.")
    ] = Path("evaluation-results"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in --output.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Write each figure as SVG too.")] = False,
    _version: Version = False,
) -> None:
    """Measures how well a model tells real media from fake.

    Scores every file, prints the metrics with 95% bootstrap intervals, and writes results.json, a ROC curve, the
    scores by class, a reliability diagram and a Tippett plot. A file that fails is a row with its reason, never a
    made-up score.
    """
    require_packages(PROGRAM, {"matplotlib": "evaluate", "scipy": "evaluate"})
    try:
        named = [parse_degradation(text) for text in degrade or []]
        degradations = tuple(dict.fromkeys([*(STANDARD_SET if robustness else ()), *named]))
        dataset = described(find_dataset(directory), people)
        check_output(output, overwrite)
        with connected(PROGRAM, url, outage_wait_s) as (detector, model):
            command = CommandResult(
                directory=str(directory), target=url, workers=workers, outage_wait_s=outage_wait_s, seed=seed,
                prevalence=prevalence,
                timeout_s=timeout_s or detector.settings.timeout_s, resamples=resamples,
                degradations=[degradation.name for degradation in degradations],
            )  # fmt: skip
            scored = _score(detector, Run(command, degradations, dataset, model))
        names = _report(build_results(scored), scored, output, ("png", "svg") if svg else ("png",))
    except EvaluationError as error:
        fail(PROGRAM, str(error), _EXITS.get(type(error), EXIT_USAGE))
    except KeyboardInterrupt:
        fail(PROGRAM, "interrupted: there is no result", EXIT_INTERRUPTED)
    print(f"written to {output}: {', '.join(names)}")
    if scored.server_lost:
        raise typer.Exit(EXIT_UNREACHABLE)
    raise typer.Exit(0 if scored.all_scored else EXIT_SOME_FAILED)


def _score(detector: Detector, run: Run) -> Run:
    """The run with its scores: the clean ones, then the degraded ones."""
    files, model, timeout_s, workers = run.dataset.files, run.model, run.command.timeout_s, run.command.workers
    scoring = score_files(detector, files, model, timeout_s=timeout_s, workers=workers)
    rows = tuple(with_progress(scoring, len(files), "scoring"))
    if not run.degradations:
        return replace(run, rows=rows)
    degrading = score_degraded(detector, rows, run.degradations, model, timeout_s=timeout_s, workers=workers)
    return replace(run, rows=rows, pairs=tuple(with_progress(degrading, len(files), "degrading")))


def _report(results: Results, run: Run, output: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Writes the figures and results.json, and returns their names. Prints the tables, also when writing fails."""
    try:
        with staged(output) as scratch:
            data = FigureData(results, ScoreTable.of(run.rows, run.model.calibration))
            drawn = write_figures(data, scratch, suffixes)
            text = results.model_copy(update={"figures": drawn}).json_text()
            (scratch / RESULTS_NAME).write_text(text, encoding="utf-8")
        return [RESULTS_NAME, *drawn]
    finally:
        print_report(results, sys.stdout)


def main() -> None:
    """Entry point of the console script."""
    run(app, PROGRAM)
