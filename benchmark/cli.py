"""`deepfake-bench`: measures the service beside other servers, and writes a report."""

import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from assets import default_cache_dir
from benchmark import drift, perf_analyzer
from benchmark.bench import DEFAULT_CHECKPOINT, PRECISIONS, Bench
from benchmark.parts import PARTS
from benchmark.planning import feed, members, nodes
from benchmark.results import Results, write_results
from benchmark.servers import BenchError
from deepfake_client.command_line.exits import EXIT_INTERRUPTED, INTERRUPTED, USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import Version
from export.errors import ExportError
from runtime import ClassifierLoadError

PROGRAM = "deepfake-bench"

EXIT_CODES = {0: "all was measured", 1: "a part could not be measured: the report says why", **USAGE, **INTERRUPTED}
EXAMPLES = (
    "deepfake-bench run --checkpoint my-checkpoint --only ratio,latency",
    "deepfake-bench run --vs ../old-checkout --only ratio --rounds 5",
    "deepfake-bench run --gateway http://127.0.0.1:5000 --only ratio,latency",
)
GROUPS = {
    "checkpoint": "Model",
    "only": "Measurement",
    "vs": "Compared with",
    "gateway": "A running deployment",
    "output": "Results",
}
OLD_NAMES = {"--folder": "--cache-dir"}

_PACKAGES = {"psutil": "bench", "locust": "bench"}

app = new_app(
    PROGRAM,
    (
        "deepfake-bench run --help",
        *drift.EXAMPLES,
        *perf_analyzer.EXAMPLES,
        *nodes.EXAMPLES,
        *feed.EXAMPLES,
        *members.EXAMPLES,
    ),
)
app.command("drift", cls=styled(drift.EXIT_CODES, drift.EXAMPLES))(drift.drift)
app.command("perf", cls=styled(perf_analyzer.EXIT_CODES, perf_analyzer.EXAMPLES))(perf_analyzer.perf)
app.command("plan", cls=styled(nodes.EXIT_CODES, nodes.EXAMPLES))(nodes.plan)
app.command("feed", cls=styled(feed.EXIT_CODES, feed.EXAMPLES))(feed.feed)
app.command("members", cls=styled(members.EXIT_CODES, members.EXAMPLES))(members.members)


@app.callback()
def bench_command(_version: Version = False) -> None:
    """Measures the service, and plans with what it does."""


@app.command("run", cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES))
def run_command(
    checkpoint: Annotated[
        str, typer.Option(help="Hub id, or a directory that transformers loads.")
    ] = DEFAULT_CHECKPOINT,
    only: Annotated[str, typer.Option(help="Parts to measure, separated by commas.")] = ",".join(PARTS),
    precisions: Annotated[str, typer.Option(help="Precisions of our service, separated by commas.")] = ",".join(
        PRECISIONS
    ),
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
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results.json and report.md.")] = Path(
        "benchmark-results"
    ),
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            show_default="the user's cache folder", help="Where frames, releases and logs are kept for the next run."
        ),
    ] = None,
) -> None:
    """Measures the service beside other servers.

    Writes results.json and report.md.
    """
    chosen, parts = precisions.split(","), only.split(",")
    if unknown := {*chosen} - {*PRECISIONS} | {*parts} - {*PARTS}:
        there = f"precisions {', '.join(PRECISIONS)} and parts {', '.join(PARTS)}"
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are the {there}")
    if media_root and not gateway:
        raise typer.BadParameter("--media-root describes the deployment of --gateway")
    require_packages(PROGRAM, _PACKAGES)
    # Unwinds the stack, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    results = Results(
        command=" ".join(["deepfake-bench", *sys.argv[1:]]),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    bench = Bench(
        say=lambda line: typer.echo(line, err=True),
        folder=cache_dir or default_cache_dir() / "benchmark",
        checkpoint_name=checkpoint,
        precisions=chosen,
        rounds=rounds,
        window_s=window_s,
        versus=vs,
        gateway=gateway,
        media_root=media_root,
    )
    try:
        with closing(bench):
            _measure(bench, parts, results, output)
    except KeyboardInterrupt:
        fail(PROGRAM, f"interrupted; parts that were measured are in {output}", EXIT_INTERRUPTED)
    typer.echo(f"figures in {output / 'results.json'}, report in {output / 'report.md'}")
    for name, reason in results.not_measured.items():
        typer.echo(f"{name} was not measured: {reason}", err=True)
    if results.not_measured:
        raise typer.Exit(1)


def _measure(bench: Bench, parts: Sequence[str], results: Results, output: Path) -> None:
    for name in parts:
        bench.say(f"{name} ...")
        try:
            results.parts[name] = PARTS[name](bench)
        except (BenchError, ExportError, ClassifierLoadError) as error:
            results.not_measured[name] = str(error)
        write_results(output, results)


def main() -> None:
    """Console script."""
    run(app, PROGRAM)


if __name__ == "__main__":
    main()
