"""The command line: `deepfake-evaluate`, or `python -m evaluation`."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deepfake_client import ConfigurationError, DetectionError, Detector, ModelInfo
from deepfake_client.batch.progress import with_progress
from deepfake_client.connect import connect_for_batch
from deepfake_client.plain_text import shown
from evaluation.dataset import find_dataset
from evaluation.degradation import STANDARD_SET, parse_degradation
from evaluation.document import Run, build_results
from evaluation.errors import EvaluationError, ModelChangedError, OutputError
from evaluation.figures import FigureData, write_figures
from evaluation.measure import ScoreTable
from evaluation.report import print_report
from evaluation.results import RESULTS_NAME, CommandResult, Results, check_output, staged
from evaluation.robustness import score_degraded
from evaluation.scoring import score_files

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_WRITTEN = 4
EXIT_INTERRUPTED = 130
_EXIT_CODES = {ModelChangedError: EXIT_UNREACHABLE, OutputError: EXIT_NOT_WRITTEN}  # others: usage


EXAMPLES = """\b
Examples:
  deepfake-evaluate my-set/test --output evaluation
  deepfake-evaluate my-set/test --url deploy/embedded_checkpoint --output evaluation

"""

EPILOG = EXAMPLES + (
    "Exit codes: 0 every file was scored; 1 some were not, each with a code and a reason in its row, and the result is "
    "over the others; 2 wrong usage, or a folder or a package is missing; 3 the server cannot be reached, serves no "
    "such model, is lost for good (the result is over what was scored before, and says so), or changes its model "
    "during the run (no result); 4 the result cannot be written; 130 interrupted."
)

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EPILOG)
def evaluate(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY",
            help="Holds real/ and fake/ with images and videos, searched recursively.",
        ),
    ],
    url: Annotated[
        str,
        typer.Option(
            envvar="DEEPFAKE_URL",
            help="host:port of Triton's gRPC endpoint, or several separated by commas, over which the work is spread; "
            "or the directory of a release or checkpoint, which then runs in this process.",
        ),
    ] = "localhost:8001",
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Where results.json and the figures go.")
    ] = Path("evaluation-results"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in there.")] = False,
    degrade: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=VALUE",
            help="Score every file again, degraded: jpeg=QUALITY, downscale=FACTOR, blur=SIGMA_PX, crop=FACE_SIDES. "
            "Repeatable.",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help=f"The standard degradations: {', '.join(d.name for d in STANDARD_SET)}."),
    ] = False,
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples of each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    timeout_s: Annotated[
        float | None, typer.Option(min=0.001, show_default="60.0", help="Deadline of each file in seconds.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, help="Files in progress at the same time, at most two of them videos."),
    ] = 2,
    outage_wait_s: Annotated[
        float, typer.Option(min=0, help="How long a file waits for a server that is away or overloaded during the run.")
    ] = 30.0,
    svg: Annotated[bool, typer.Option("--svg", help="Write each figure as SVG too.")] = False,
) -> None:
    """Measures how well a model tells real media from fake.

    Scores every file, prints the metrics with 95% bootstrap intervals, and writes results.json, a ROC curve, the
    scores by class and a reliability diagram. A file that fails is a row with its reason, never a made-up score.
    """
    try:
        named = [parse_degradation(text) for text in degrade or []]
        degradations = tuple(dict.fromkeys([*(STANDARD_SET if robustness else ()), *named]))
        dataset = find_dataset(directory)
        check_output(output, overwrite)
        _require_packages()
        with _connect(url, outage_wait_s) as (detector, model):
            command = CommandResult(
                directory=str(directory), target=url, workers=workers, outage_wait_s=outage_wait_s, seed=seed,
                timeout_s=timeout_s or detector.settings.timeout_s, resamples=resamples,
                degradations=[degradation.name for degradation in degradations],
            )  # fmt: skip
            run = _score(detector, Run(command, degradations, dataset, model))
        names = _report(build_results(run), run, output, ("png", "svg") if svg else ("png",))
    except EvaluationError as error:
        _fail(str(error), _EXIT_CODES.get(type(error), EXIT_USAGE))
    except KeyboardInterrupt:
        _fail("interrupted: there is no result", EXIT_INTERRUPTED)
    print(f"written to {output}: {', '.join(names)}")
    if run.server_lost:
        raise typer.Exit(EXIT_UNREACHABLE)
    raise typer.Exit(0 if run.all_scored else EXIT_SOME_FAILED)


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
            data = FigureData(results, ScoreTable.of(run.rows))
            drawn = write_figures(data, scratch, suffixes)
            text = results.model_copy(update={"figures": drawn}).json_text()
            (scratch / RESULTS_NAME).write_text(text, encoding="utf-8")
        return [RESULTS_NAME, *drawn]
    finally:
        print_report(results, sys.stdout)


def _require_packages() -> None:
    """Ends the program before the work where a package for the figures is missing."""
    missing = [name for name in ("matplotlib", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        _fail(f"{' and '.join(missing)} not installed: pip install ./client '.[evaluate]' in the checkout", EXIT_USAGE)


@contextlib.contextmanager
def _connect(url: str, outage_wait_s: float) -> Iterator[tuple[Detector, ModelInfo]]:
    """A detector that has answered once, and the model that answered. Ends the program otherwise."""
    try:
        detector, model = connect_for_batch(url, outage_wait_s)
    except ConfigurationError as error:
        _fail(str(error), EXIT_USAGE)
    except DetectionError as error:
        _fail(str(error), EXIT_UNREACHABLE)
    with detector:
        yield detector, model


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(shown(f"deepfake-evaluate: {message}"), err=True)
    raise typer.Exit(code)


def main() -> None:
    """Entry point of the console script."""
    try:
        app(prog_name="deepfake-evaluate")
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_SOME_FAILED)
