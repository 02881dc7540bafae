"""`deepfake-bench`: measures the service, beside the seed's and other servers, and writes a report."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark import batch_rate, drift, perf, plan, tune
from benchmark.options import PRECISIONS, Remote, RunOptions
from benchmark.perf_analyzer import find_program
from benchmark.report import write_report
from benchmark.results import ResultsError, ResultsFile
from benchmark.run import run_parts

_HERE = Path(__file__).parent
_FOLDER = RunOptions().folder
_ALL = ",".join(PRECISIONS)
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("perf")(perf.perf)
app.command("batch-rate")(batch_rate.batch_rate)
app.command("drift")(drift.drift)
app.command("tune", help=tune.HELP)(tune.tune)
app.command("plan", help=plan.HELP)(plan.plan)

Checkpoint = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Directory of the model; by default a seeded one of full size."),
]
Folder = Annotated[Path, typer.Option(help="Frames, releases and logs, kept for the next run.")]
Results = Annotated[Path, typer.Option(help="JSON with all figures; parts not measured now are kept.")]
Report = Annotated[Path, typer.Option(help="The report; its plots go to the folder `plots` beside it.")]
Precisions = Annotated[str, typer.Option(help="Of ours, separated by commas.")]
Detail = Annotated[str, typer.Option(help="The precision of the parts that look at one only.")]
Rounds = Annotated[int, typer.Option(min=1, help="Interleaved rounds.")]
Window = Annotated[float, typer.Option(min=0.5, help="Seconds of one closed-loop measurement.")]
Quick = Annotated[bool, typer.Option("--quick", help="One round, small inputs: to try the harness, not to measure.")]
Program = Annotated[str, typer.Option(envvar="PERF_ANALYZER", help="NVIDIA's program, for what goes over gRPC.")]
Gateway = Annotated[str, typer.Option(help="Base URL of a running gateway: nothing is started, and it is measured.")]
Grpc = Annotated[str, typer.Option(help="host:port of that deployment's Triton over gRPC.")]
Metrics = Annotated[str, typer.Option(help="URL of its Triton's metrics.")]
MediaRoot = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Folder that it reads extractedFrames from, as seen from here."),
]


@app.command()
def run(
    checkpoint: Checkpoint = None,
    only: Annotated[str, typer.Option(help="Parts to measure, separated by commas; all by default.")] = "",
    skip: Annotated[str, typer.Option(help="Parts to leave as they are.")] = "",
    precisions: Precisions = _ALL,
    detail: Detail = RunOptions.detail,
    rounds: Rounds = RunOptions.rounds,
    window_s: Window = RunOptions.window_s,
    quick: Quick = False,
    perf_analyzer: Program = "perf_analyzer",
    gateway: Gateway = "",
    grpc: Grpc = "",
    metrics: Metrics = "",
    media_root: MediaRoot = None,
    folder: Folder = _FOLDER,
    results: Results = _HERE / "results.json",
    report: Report = _HERE / "RESULTS.md",
) -> None:
    """Measures everything and writes results.json and RESULTS.md.

    Parts: ratio, latency, served, servers, sweeps, openloop, stages, roofline, growth, memory, start, drift.
    Exit codes: 0 all measured, 1 a part failed (the report says which and why), 2 usage.
    """
    chosen = tuple(name.strip() for name in precisions.split(",") if name.strip())
    if not chosen or not set(chosen) <= set(PRECISIONS):
        raise typer.BadParameter(f"--precisions takes {', '.join(PRECISIONS)}")
    if not gateway and (grpc or metrics or media_root):
        raise typer.BadParameter("--grpc, --metrics and --media-root describe the deployment of --gateway")
    options = RunOptions(
        folder=folder,
        checkpoint=checkpoint,
        precisions=chosen,
        detail=detail if detail in chosen or gateway else chosen[-1],
        rounds=rounds,
        window_s=window_s,
        perf_analyzer=find_program(perf_analyzer),
        remote=Remote(gateway, grpc, metrics, media_root) if gateway else None,
    )
    _measure(options.quickened() if quick else options, _parts(only, skip), results, report)


@app.command()
def growth(
    checkpoint: Checkpoint = None,
    detail: Detail = RunOptions.detail,
    window_s: Window = RunOptions.window_s,
    quick: Quick = False,
    gateway: Gateway = "",
    grpc: Grpc = "",
    media_root: MediaRoot = None,
    folder: Folder = _FOLDER,
    results: Results = _HERE / "results.json",
    report: Report = _HERE / "RESULTS.md",
) -> None:
    """Measures how the cost grows with frames, pixels, clients and instances, and fits the exponents."""
    remote = Remote(gateway, grpc, "", media_root) if gateway else None
    options = RunOptions(
        folder=folder, checkpoint=checkpoint, precisions=(detail,), detail=detail, window_s=window_s, remote=remote
    )
    _measure(options.quickened() if quick else options, ["growth"], results, report)


@app.command()
def start(
    checkpoint: Checkpoint = None,
    detail: Detail = RunOptions.detail,
    rounds: Rounds = RunOptions.rounds,
    folder: Folder = _FOLDER,
    results: Results = _HERE / "results.json",
    report: Report = _HERE / "RESULTS.md",
) -> None:
    """Measures the time from `make serve` to the first answer, with the imports and loads that it goes into."""
    options = RunOptions(folder=folder, checkpoint=checkpoint, precisions=(detail,), detail=detail, rounds=rounds)
    _measure(options, ["start"], results, report)


@app.command("report")
def report_again(results: Results = _HERE / "results.json", report: Report = _HERE / "RESULTS.md") -> None:
    """Writes the report from results.json once more."""
    try:
        write_report(ResultsFile(results).read(), report)
    except ResultsError as error:
        _fail(str(error))


def _parts(only: str, skip: str) -> list[str]:
    from benchmark.parts.catalogue import PARTS

    named, skipped = ({name.strip() for name in text.split(",") if name.strip()} for text in (only, skip))
    if unknown := (named | skipped) - set(PARTS):
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if (name in named or not named) and name not in skipped]


def _measure(options: RunOptions, parts: list[str], results: Path, report: Path) -> None:
    file = ResultsFile(results)
    # Unwinds the stack, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        failed = run_parts(options, parts, file)
        write_report(file.read(), report)
    except ResultsError as error:
        _fail(str(error))
    typer.echo(f"figures in {results}, report in {report}")
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _fail(message: str) -> None:
    typer.echo(f"deepfake-bench: {message}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Console script."""
    app()


if __name__ == "__main__":
    main()
