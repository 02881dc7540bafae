"""`deepfake-bench`: measures the service beside other servers, and writes a report."""

import signal
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from assets import default_cache_dir
from benchmark import drift, perf_analyzer, plan
from benchmark.bench import DEFAULT_CHECKPOINT, PRECISIONS, Bench
from benchmark.parts import PARTS
from benchmark.results import Results, write_results
from benchmark.servers import BenchError
from export.errors import ExportError
from runtime import ClassifierLoadError

EPILOG = """\b
Examples:
  deepfake-bench run --checkpoint my-checkpoint --only ratio,latency
  deepfake-bench run --vs ../old-checkout --only ratio --rounds 5
  deepfake-bench drift --help

"""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, epilog=EPILOG)
app.command("drift")(drift.drift)
app.command("perf")(perf_analyzer.perf)
app.command("plan")(plan.plan)


@app.command()
def run(
    checkpoint: Annotated[str, typer.Option(help="Directory or hub id of the model.")] = DEFAULT_CHECKPOINT,
    only: Annotated[str, typer.Option(help="Parts to measure, separated by commas.")] = ",".join(PARTS),
    precisions: Annotated[str, typer.Option(help="Of ours, separated by commas.")] = ",".join(PRECISIONS),
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = Bench.rounds,
    window_s: Annotated[int, typer.Option(min=1, help="Seconds of one closed loop.")] = Bench.window_s,
    vs: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Another checkout with its own .venv: compare with its service instead."
        ),
    ] = None,
    gateway: Annotated[
        str, typer.Option(help="Base URL of a running gateway: nothing is started, and it is measured.")
    ] = "",
    media_root: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder that it reads extractedFrames from, seen from here."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Frames, releases and logs, kept for the next run.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results.json and report.md.")] = Path(
        "benchmark-results"
    ),
) -> None:
    """Measures every part and writes results.json and report.md.

    Exit codes: 0 all measured, 1 a part could not be measured (the report says why), 2 usage.
    """
    chosen, parts = precisions.split(","), only.split(",")
    if unknown := {*chosen} - {*PRECISIONS} | {*parts} - {*PARTS}:
        there = f"precisions {', '.join(PRECISIONS)} and parts {', '.join(PARTS)}"
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are the {there}")
    if media_root and not gateway:
        raise typer.BadParameter("--media-root describes the deployment of --gateway")
    # Unwinds the stack, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    results = Results(
        command=" ".join(["deepfake-bench", *sys.argv[1:]]),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    bench = Bench(
        say=lambda line: typer.echo(line, err=True),
        folder=folder or default_cache_dir() / "benchmark",
        checkpoint_name=checkpoint,
        precisions=chosen,
        rounds=rounds,
        window_s=window_s,
        versus=vs,
        gateway=gateway,
        media_root=media_root,
    )
    with closing(bench):
        for name in parts:
            bench.say(f"{name} ...")
            try:
                results.parts[name] = PARTS[name](bench)
            except (BenchError, ExportError, ClassifierLoadError) as error:
                results.not_measured[name] = str(error)
            write_results(output, results)
    typer.echo(f"figures in {output / 'results.json'}, report in {output / 'report.md'}")
    for name, reason in results.not_measured.items():
        typer.echo(f"{name} was not measured: {reason}", err=True)
    if results.not_measured:
        raise typer.Exit(1)


def main() -> None:
    """Console script."""
    app()


if __name__ == "__main__":
    main()
