"""`deepfake-bench`: measures the service beside other servers, and writes a report."""

import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from assets import default_cache_dir
from benchmark import drift, perf_analyzer, plan
from benchmark.bench import PRECISIONS, Bench, LeftOutError, RunOptions
from benchmark.calls import CallError
from benchmark.load import LoadError
from benchmark.machine import this_machine
from benchmark.parts import PARTS
from benchmark.results import Record, ResultsError, read_results, write_results
from benchmark.servers import ServerError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("drift")(drift.drift)
app.command("perf")(perf_analyzer.perf)
app.command("plan")(plan.plan)

_QUICK_IMAGES = 9


@app.command()
def run(
    checkpoint: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="The model; by default a seeded one of full size."),
    ] = None,
    only: Annotated[str, typer.Option(help=f"Parts to measure, of {', '.join(PARTS)}; all by default.")] = "",
    skip: Annotated[str, typer.Option(help="Parts to leave as they are.")] = "",
    precisions: Annotated[str, typer.Option(help="Of ours, separated by commas.")] = ",".join(PRECISIONS),
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = RunOptions.rounds,
    window_s: Annotated[float, typer.Option(min=0.5, help="Seconds of one closed loop.")] = RunOptions.window_s,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round, small inputs: to try the harness, not to measure.")
    ] = False,
    vs: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Another checkout with its own .venv: compare with its service instead."
        ),
    ] = None,
    gateway: Annotated[
        str, typer.Option(help="Base URL of a running gateway: nothing is started, and it is measured.")
    ] = "",
    grpc: Annotated[str, typer.Option(help="host:port of that deployment's Triton over gRPC.")] = "",
    media_root: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder that it reads extractedFrames from, seen from here."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Frames, releases and logs, kept for the next run.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="results.json and report.md; parts not measured now are kept.")
    ] = Path("benchmark-results"),
) -> None:
    """Measures every part and writes results.json and report.md.

    Exit codes: 0 all measured, 1 a part could not be measured (the report says why), 2 usage.
    """
    chosen = tuple(_words(precisions))
    if not chosen or not set(chosen) <= set(PRECISIONS):
        raise typer.BadParameter(f"--precisions takes {', '.join(PRECISIONS)}")
    if not gateway and (grpc or media_root):
        raise typer.BadParameter("--grpc and --media-root describe the deployment of --gateway")
    named, skipped = _words(only), _words(skip)
    if unknown := {*named, *skipped} - set(PARTS):
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options = RunOptions(
        folder=folder or default_cache_dir() / "benchmark",
        checkpoint=checkpoint,
        precisions=chosen,
        rounds=1 if quick else rounds,
        window_s=0.5 if quick else window_s,
        requests=1 if quick else RunOptions.requests,
        drift_images=_QUICK_IMAGES if quick else 0,
        versus=vs,
        gateway=gateway,
        grpc=grpc,
        media_root=media_root,
    )
    # Unwinds the stack, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    parts = [name for name in PARTS if (name in named or not named) and name not in skipped]
    try:
        failed = measure(options, parts, output / "results.json")
    except ResultsError as error:
        typer.echo(f"deepfake-bench: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"figures in {output / 'results.json'}, report in {output / 'report.md'}")
    if failed:
        typer.echo(f"not measured: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def measure(options: RunOptions, parts: list[str], results: Path) -> list[str]:
    """Measures the parts one after the other; what is measured is written at once.

    Returns:
        The parts that could not be measured.

    Raises:
        ResultsError: The results file that is there cannot be read.
    """
    records = read_results(results)
    machine, command = this_machine(), " ".join(["deepfake-bench", *sys.argv[1:]])
    failed = []
    with Bench(options, lambda line: typer.echo(line, err=True)) as bench:
        for name in parts:
            bench.say(f"{name} ...")
            started, figures, reason = time.monotonic(), None, ""
            try:
                figures = PARTS[name](bench)
            except (LeftOutError, ServerError, CallError, LoadError, drift.DriftError) as error:
                reason = str(error)
                bench.say(f"{name}: {reason}")
                failed.append(name)
            records[name] = Record(
                figures=figures,
                reason=reason,
                took_s=time.monotonic() - started,
                measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
                command=command,
                machine=machine,
            )
            write_results(results, records)
    return failed


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def main() -> None:
    """Console script."""
    app()


if __name__ == "__main__":
    main()
