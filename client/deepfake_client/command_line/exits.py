"""How every command ends: its exit code, one line that says why, and what to do about it."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import typer

from deepfake_client.command_line.packages import missing_packages
from deepfake_client.command_line.variables import warn_of_unknown_variables
from deepfake_client.connect import connect_for_batch
from deepfake_client.detector import Detector
from deepfake_client.errors import ConfigurationError, DetectionError, ServerUnavailableError
from deepfake_client.plain_text import shown
from deepfake_client.release import ModelInfo

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_WRITTEN = 4
EXIT_INTERRUPTED = 130

USAGE = {EXIT_USAGE: "wrong usage, or a package is missing"}
INTERRUPTED = {EXIT_INTERRUPTED: "interrupted"}
SCORING_EXIT_CODES = {
    0: "every file was scored",
    EXIT_SOME_FAILED: "some files were not; each is a row with its reason",
    **USAGE,
    EXIT_UNREACHABLE: "no server answers, at the start or for good later, or it serves another model; files without a "
    "row were not scored",
    EXIT_NOT_WRITTEN: "the results cannot be written",
    **INTERRUPTED,
}
"""Of the commands that score files."""

_NO_SERVER = "Is `make serve` running? Its gRPC port is printed at its start; 5000 is the HTTP port."


def fail(program: str, message: str, code: int) -> NoReturn:
    """Ends the program with a line on standard error."""
    typer.echo(shown(f"{program}: {message}"), err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def connected(program: str, url: str, outage_wait_s: float) -> Iterator[tuple[Detector, ModelInfo]]:
    """A detector that has answered once, and the model that answered. Ends the program otherwise.

    Args:
        program: What it is called.
        url: See `deepfake_client.connect.connect_for_batch`.
        outage_wait_s: Likewise.
    """
    try:
        detector, model = connect_for_batch(url, outage_wait_s)
    except ConfigurationError as error:
        fail(program, str(error), EXIT_USAGE)
    except DetectionError as error:
        fail(program, with_hint(error), EXIT_UNREACHABLE)
    with detector:
        yield detector, model


def with_hint(error: DetectionError) -> str:
    """What an error says, and where a server is looked for if none answers."""
    return f"{error}. {_NO_SERVER}" if isinstance(error, ServerUnavailableError) else str(error)


def require_packages(program: str, extras: Mapping[str, str]) -> None:
    """Ends the program before the work where a package is missing.

    Args:
        program: What it is called.
        extras: Modules, and the extra of deepfake-serving that brings each.
    """
    if missing := missing_packages(extras):
        fail(program, missing, EXIT_USAGE)


def run(app: typer.Typer, program: str) -> None:
    """Entry point of a console script: a closed stream or a reader that has enough is no error to show."""
    if sys.stderr is None:  # it was closed: messages are lost, results are not
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    warn_of_unknown_variables()
    try:
        app(prog_name=program)
    except BrokenPipeError:  # the reader of our output, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_SOME_FAILED)
