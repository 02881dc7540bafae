"""`deepfake-bench tune`: measures serving configurations on this machine and writes the best as a file."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.options import RunOptions
from benchmark.tune_search import MIN_GAIN, SCORE_TEXT, Axes, Outcome, TrialError, axes_for, search

if TYPE_CHECKING:
    from export.release import Release

_FOLDER = RunOptions().folder
# What would lead the export elsewhere than to the default.
_NOT_INHERITED = frozenset({"SERVING_PLAN", "INSTANCES"})

HELP = f"""Measures serving configurations beside the default on this machine and writes the best as a serving plan.

Exports once, then starts a real Triton for each configuration and asks it over gRPC, as the gateway does. Score:
{SCORE_TEXT}.

Search: from the default, one of these at a time, until a pass changes nothing: frames per request, instances of
preprocess, instances and cores of the classifier, preferred batch, queue delay. Every candidate and the best so far
run at the same time and are measured in turn. A change is taken if the median round gains more than half of what the
rounds differ by, and more than {MIN_GAIN:.0%}. In the end the winner must beat the default once more; else the
default is written.

Serve with it: make serve SERVING_PLAN=serving_plan.json. Measure on a machine that does nothing else.

Exit codes: 0 a plan was written, 1 failed, 2 usage."""


class TuneError(Exception):
    """Nothing can be measured."""


@dataclass(frozen=True)
class Measuring:
    """How it is measured.

    Attributes:
        seconds: Of each of the two loads of one measurement.
        rounds: Of each comparison.
        most: Configurations to try.
        folder: For frames, and for scratch files while it lasts.
    """

    seconds: float
    rounds: int
    most: int
    folder: Path


def tune(
    checkpoint: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Directory of the model; default: a seeded one of full size."),
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or int8.")] = "auto",
    output: Annotated[Path, typer.Option(help="The serving plan.")] = Path("serving_plan.json"),
    results: Annotated[
        Path | None, typer.Option(help="All figures as JSON; default: OUTPUT with .results.json for its suffix.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.05, help="Of each of the two loads of one measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Of each comparison.")] = 3,
    max_configurations: Annotated[int, typer.Option(min=1, help="Most to try, the default included.")] = 24,
    folder: Annotated[Path, typer.Option(help="Frames and releases, kept for the next run.")] = _FOLDER,
) -> None:
    """Measures serving configurations beside the default and writes the best; see `HELP`."""
    from benchmark.machine import this_machine
    from benchmark.tune_report import plan_of, show, table_of, write_results
    from export.errors import ExportError

    # Unwinds the stack, so that no server is left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        release = _release(checkpoint, precision, folder.resolve() / "releases" / precision)
        served = str(release.manifest["description"]["precision"])
        machine = this_machine()
        measuring = Measuring(seconds, rounds, max_configurations, folder.resolve())
        outcome = _search(release, measuring, axes_for(machine.cores, int(machine.memory_gib) // 2))
        where = results or output.with_suffix(".results.json")
        write_results(where, outcome, machine, served, shlex.join(sys.argv))
        plan_of(outcome, machine, served).save(output)
    except (TuneError, TrialError, ExportError) as error:
        typer.echo(f"deepfake-bench: {error}", err=True)
        raise typer.Exit(1) from error
    _print(table_of(outcome))
    typer.echo(f"{outcome.reason()}\n{output}: {show(outcome.winner)}\nall figures in {where}")
    typer.echo(f"serve with it: make serve SERVING_PLAN={shlex.quote(str(output))}")


def _release(checkpoint: Path | None, precision: str, releases: Path) -> "Release":
    """The default's release, exported unless it is there.

    Raises:
        TuneError: The export failed.
        ReleaseError: What it left cannot be read.
    """
    from export.release import CURRENT, read_release

    if checkpoint is None:
        from benchmark.checkpoint import make_spread_checkpoint

        checkpoint = make_spread_checkpoint()
    typer.echo(f"exporting {checkpoint.name} ({precision}) unless it is there")
    command = [
        sys.executable, "-m", "export", "--checkpoint", str(checkpoint.resolve()), "--precision", precision,
        "--releases-dir", str(releases),
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TuneError(f"deepfake-export ended with code {done.returncode}: {' '.join(done.stderr.split())[-400:]}")
    return read_release(releases / CURRENT)


def _search(release: "Release", measuring: Measuring, axes: Axes) -> Outcome:
    """Measures until the search ends; every server is gone then.

    Raises:
        TrialError: The default cannot be measured.
    """
    from deepfake_client import ClientSettings

    from benchmark.frames import make_face_frames
    from benchmark.tune_load import VIDEO_FRAMES
    from benchmark.tune_release import configuration_of
    from benchmark.tune_servers import Servers

    folder = measuring.folder
    frames = [path.read_bytes() for path in make_face_frames(folder / f"frames-{VIDEO_FRAMES}", VIDEO_FRAMES)]
    default = configuration_of(release, int(ClientSettings.model_fields["chunk_frames"].default))
    with (
        tempfile.TemporaryDirectory(prefix="tune-", dir=folder) as scratch,
        Servers(release, frames, measuring.seconds, Path(scratch)) as servers,
    ):
        return search(default, axes, servers.measure, measuring.rounds, measuring.most, typer.echo)


def _print(table: object) -> None:
    from rich.console import Console

    console = Console()
    # A table that is cut off in a log is of no use.
    (console if console.is_terminal else Console(width=200)).print(table)
