"""The command line: `deepfake-detect`, or `python -m client`."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from client.batch import FileReport, detect_files, find_media
from client.connect import create_detector
from client.detector import Detector
from client.errors import ConfigurationError, DetectionError, ServerUnavailableError
from client.media import MediaType
from client.report import OutputFormat, write_reports
from client.settings import ClientSettings

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

EPILOG = (
    "Exit codes: 0 every file was scored; 1 some were not, each with an error code and a reason in its row; "
    "2 wrong usage; 3 the server cannot be reached or serves no such model, at the start or for some file later."
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EPILOG)
def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|DIRECTORY|GLOB...",
            help="Images and videos. Directories are searched recursively for jpg, jpeg, png, bmp, webp, mp4, avi, "
            "mov, mkv and webm; files that are named are always tried.",
        ),
    ],
    url: Annotated[
        str,
        typer.Option(
            envvar="DEEPFAKE_URL",
            help="host:port of Triton's gRPC endpoint, or the directory of a release or checkpoint, which then runs in "
            "this process.",
        ),
    ] = "localhost:8001",
    format_: Annotated[OutputFormat, typer.Option("--format", help="How results are printed.")] = OutputFormat.TABLE,
    media_type: Annotated[
        MediaType | None, typer.Option("--type", help="What every file must be; found out from its content otherwise.")
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option(min=0.001, show_default="60.0", help="Deadline of each file in seconds.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Files in progress at the same time.")] = 2,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write results here; the file appears when it is complete.")
    ] = None,
) -> None:
    """Detects deepfakes in images and videos.

    Results come in the order of the inputs. A file that fails is a row with its reason and never ends the run.
    """
    paths = find_media(inputs)
    if not paths:
        _fail("there is no image or video to score in these directories", EXIT_USAGE)
    with _connect(url) as detector:
        reports = detect_files(detector, paths, media_type=media_type, timeout_s=timeout_s, workers=workers)
        tally = _Tally(reports)
        with _destination(output) as stream:
            bar = sys.stderr.isatty() and not (output is None and format_ is not OutputFormat.TABLE and stream.isatty())
            write_reports(_with_progress(tally, len(paths)) if bar else tally, format_, stream)
    raise typer.Exit(tally.exit_code)


class _Tally:
    """Passes reports on and remembers what the exit code needs."""

    def __init__(self, reports: Iterable[FileReport]) -> None:
        self._reports = reports
        self.exit_code = 0

    def __iter__(self) -> Iterator[FileReport]:
        for report in self._reports:
            if report.error_code == ServerUnavailableError.code:
                self.exit_code = EXIT_UNREACHABLE
            elif report.output is None:
                self.exit_code = self.exit_code or EXIT_SOME_FAILED
            yield report


@contextlib.contextmanager
def _connect(url: str) -> Iterator[Detector]:
    """A detector that has answered once; ends the program otherwise."""
    try:
        detector = create_detector(url, ClientSettings())
    except ValidationError as error:
        _fail(f"a DEEPFAKE_CLIENT_ setting is wrong: {error}", EXIT_USAGE)
    except (ConfigurationError, ImportError) as error:
        _fail(str(error), EXIT_USAGE)
    with detector:
        try:
            info = detector.info()
        except DetectionError as error:
            _fail(str(error), EXIT_UNREACHABLE)
        if info.notice:
            typer.echo(f"{info.version}: {info.notice}", err=True)
        yield detector


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a temporary file that takes its name when all is written."""
    if output is None:
        yield sys.stdout
        return
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        _fail(f"cannot write {output}: {error.strerror}", EXIT_USAGE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        Path(partial).chmod(0o666 & ~umask)
        Path(partial).replace(output)
    finally:
        Path(partial).unlink(missing_ok=True)


def _with_progress(reports: Iterable[FileReport], total: int) -> Iterator[FileReport]:
    columns = (TextColumn("detecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(reports, total=total)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"deepfake-detect: {message}", err=True)
    raise typer.Exit(code)


def main() -> None:
    """Entry point of the console script."""
    try:
        app(prog_name="deepfake-detect")
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_SOME_FAILED)
