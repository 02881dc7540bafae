"""The command line: `deepfake-detect`, or `python -m deepfake_client`."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from deepfake_client.analysis.closer_look import Look
from deepfake_client.batch.inputs import find_media, named, read_list, streams_too
from deepfake_client.batch.output import Output, OutputFormat, Score
from deepfake_client.batch.scoring import VIDEO_WORKERS, WORKERS, FileReport, detect_files
from deepfake_client.batch.table import FAILED, summary, verdict_of
from deepfake_client.command_line.exits import (
    EXIT_INTERRUPTED,
    EXIT_NOT_WRITTEN,
    EXIT_SOME_FAILED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    SCORING_EXIT_CODES,
    connected,
    fail,
    run,
)
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import OutageWaitS, TimeoutS, Url, Version
from deepfake_client.errors import ConfigurationError, ServiceError
from deepfake_client.evidence.document import CASE_NOTE_CHARACTERS, CASE_NUMBER_CHARACTERS, Case
from deepfake_client.evidence.files import check_report_paths, write_evidence
from deepfake_client.media import SUFFIXES, MediaType
from deepfake_client.plain_text import shown
from deepfake_client.result import DetectionOutput

PROGRAM = "deepfake-detect"

EXAMPLES = (
    "deepfake-detect photo.jpg clip.mp4",
    "deepfake-detect photos/ --output results.csv",
    "deepfake-detect photos/ --output results.jsonl --resume",
    "deepfake-detect clip.mp4 --report report.html",
    "deepfake-detect photo.jpg --url triton.example.com:8001",
    "find . -name '*.jpg' | deepfake-detect --files-from - --format jsonl",
)
GROUPS = {
    "files_from": "Input",
    "url": "Server or model",
    "output": "Results",
    "report": "Closer look",
}

app = new_app(PROGRAM)


@app.command(cls=styled(SCORING_EXIT_CODES, EXAMPLES, GROUPS))
def detect(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|DIRECTORY|GLOB|-...",
            help="Images and videos; - is one on standard input. Directories are searched recursively for "
            f"{', '.join(suffix[1:] for suffix in SUFFIXES)}; files that are named are always tried.",
            show_default=False,
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-",
            help="Score the files named in this list too, one a line or separated by NUL; - is standard input.",
        ),
    ] = None,
    media_type: Annotated[
        MediaType | None, typer.Option("--type", help="What every file must be; found out from its content otherwise.")
    ] = None,
    url: Url = "localhost:8001",
    timeout_s: TimeoutS = None,
    outage_wait_s: OutageWaitS = 30.0,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Files in progress at the same time.")] = WORKERS,
    video_workers: Annotated[
        int, typer.Option(min=1, max=64, help="Videos among them: each holds its frames in memory while it is scored.")
    ] = VIDEO_WORKERS,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            dir_okay=False,
            help="Write results here, as jsonl or csv. Until the run is complete they are in FILE.partial.",
        ),
    ] = None,
    format_: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="How results are written.", show_default="by the suffix of --output, else table"),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an earlier run with the same --output: files that have a row are skipped, a row that was "
            "cut off is written again.",
        ),
    ] = False,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.html|FILE.json",
            help="Write an evidence report of the one input file here, too: .html to read and print, .json for "
            "programs. May be given twice.",
        ),
    ] = None,
    case_number: Annotated[
        str, typer.Option(help=f"Case number in the report, at most {CASE_NUMBER_CHARACTERS} characters.")
    ] = "",
    note: Annotated[str, typer.Option(help=f"Note in the report, at most {CASE_NOTE_CHARACTERS} characters.")] = "",
    stability: Annotated[
        bool,
        typer.Option(
            "--stability",
            help="Score the deciding face in five more variants too, such as mirrored or darker: a verdict that "
            "changes is the finding UNSTABLE. --report does it always.",
        ),
    ] = False,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity",
            help="Score the deciding face 50 times more to show where in the picture its score comes from: a picture "
            "in the report, numbers in jsonl. It is no proof.",
        ),
    ] = False,
    _version: Version = False,
) -> None:
    """Finds signs of manipulation in images and videos.

    Results come in the order of the inputs. A file that fails is a row with its reason and never ends the run. JSON
    lines and reports also tell what a file says of itself (C2PA, EXIF, ...); DEEPFAKE_CLIENT_PROVENANCE=false leaves
    that out. Where a release fuses several models, they and the table of a single file hold each one's own score.
    """
    try:
        destination = Output(output, format_, resume)
        paths = destination.without_itself(_find(inputs or [], files_from))
    except ConfigurationError as error:
        fail(PROGRAM, str(error), EXIT_USAGE)
    if not paths:
        where = " ".join(inputs or [files_from or ""])
        fail(
            PROGRAM,
            f"there is no image or video in {where}; name a file to have it tried whatever its suffix",
            EXIT_USAGE,
        )
    report = report or []
    asked: dict[Look, bool] = {
        "stability": stability or bool(report),
        "sensitivity": sensitivity,
        "further_frames": True,
    }
    looks = [look for look, wanted in asked.items() if wanted]
    _check_report(report, inputs or [], paths, resume)
    case = _case(case_number, note, report)
    with connected(PROGRAM, url, outage_wait_s) as (detector, model), streams_too(paths) as open_file:
        if model.notice:
            typer.echo(shown(f"{model.version}: {model.notice}"), err=True)
        tally = _Tally(
            lambda todo: detect_files(
                detector,
                todo,
                media_type=media_type,
                timeout_s=timeout_s,
                workers=workers,
                video_workers=video_workers,
                open_file=open_file,
                keep_frames=bool(report),
                include=looks,
            )
        )
        try:
            destination.write(paths, tally, model.version)
            if report and tally.last is not None:
                write_evidence(tally.last, "standard input" if str(paths[0]) == "-" else paths[0].name, report, case)
                for path in report:
                    typer.echo(shown(f"report written to {path}"), err=True)
        except ConfigurationError as error:
            fail(PROGRAM, str(error), EXIT_USAGE)
        except ServiceError as error:
            fail(
                PROGRAM, f"{error}. {tally.left} files have not been scored{destination.how_to_go_on}", EXIT_UNREACHABLE
            )
        except BrokenPipeError:
            raise
        except OSError as error:
            fail(PROGRAM, f"the results cannot be written: {error.strerror or error}", EXIT_NOT_WRITTEN)
        except KeyboardInterrupt:
            left = f"{tally.left} files have not been scored"
            fail(PROGRAM, f"interrupted: {left}{destination.how_to_go_on}", EXIT_INTERRUPTED)
    if tally.verdicts.total() > 1:
        typer.echo(summary(tally.verdicts, tally.elapsed_s), err=True)
    raise typer.Exit(EXIT_SOME_FAILED if tally.failed or destination.failed_before else 0)


class _Tally:
    """Scores files and counts: what became of them, and how many are left. Keeps the last result."""

    def __init__(self, score: Score) -> None:
        self._score = score
        self._began_at = time.monotonic()
        self.verdicts: Counter[str] = Counter()
        self.left = 0
        self.last: DetectionOutput | None = None

    @property
    def failed(self) -> int:
        """Files without a result."""
        return self.verdicts[FAILED]

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._began_at

    def __call__(self, paths: list[Path]) -> Generator[FileReport]:
        self.left = len(paths)
        with contextlib.closing(self._score(paths)) as reports:
            for report in reports:
                yield report
                self.left -= 1  # the caller has written it
                self.verdicts[verdict_of(report)] += 1
                self.last = report.output


def _find(inputs: list[str], files_from: str | None) -> list[Path]:
    """The files to score. Ends the program with a message where the arguments make no sense."""
    if sys.stdin is None and "-" in (files_from, *inputs):
        fail(PROGRAM, "standard input is closed", EXIT_USAGE)
    if files_from == "-" and "-" in inputs:
        fail(PROGRAM, "standard input cannot be both a list of files and a file: give one - only", EXIT_USAGE)
    if not inputs and files_from is None:
        fail(PROGRAM, "give a file, a directory, a glob pattern, - or --files-from (--help says more)", EXIT_USAGE)
    paths = find_media(inputs)
    if files_from is not None:
        try:
            with sys.stdin.buffer if files_from == "-" else Path(files_from).open("rb") as stream:
                paths += [named(name) for name in read_list(stream) if name != "-"]
        except OSError as error:
            fail(PROGRAM, f"cannot read the list {files_from}: {error.strerror}", EXIT_USAGE)
    return list(dict.fromkeys(paths))


def _check_report(report: list[Path], inputs: list[str], paths: list[Path], resume: bool) -> None:
    """Ends the program with a message where no evidence report can be made."""
    if report and (resume or any(Path(name).is_dir() for name in inputs)):
        fail(PROGRAM, "--report is about one file: give no directory, and no --resume", EXIT_USAGE)
    try:
        check_report_paths(report, paths)
    except ConfigurationError as error:
        fail(PROGRAM, str(error), EXIT_USAGE)


def _case(number: str, note: str, report: list[Path]) -> Case:
    """What the report belongs to. Ends the program with a message where the options make no sense."""
    if (number or note) and not report:
        fail(PROGRAM, "--case-number and --note stand in an evidence report: give --report, too", EXIT_USAGE)
    try:
        return Case(number=number, note=note)
    except ValidationError as error:
        option = "--case-number" if error.errors()[0]["loc"] == ("number",) else "--note"
        fail(PROGRAM, f"{option} is too long (--help says the limit)", EXIT_USAGE)


def main() -> None:
    """Entry point of the console script."""
    run(app, PROGRAM)
