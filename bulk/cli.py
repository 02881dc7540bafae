"""The command line: `deepfake-bulk`, or `python -m bulk`."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated, NoReturn

import typer
from deepfake_client.batch.progress import with_progress
from deepfake_client.errors import ConfigurationError, DetectionError
from deepfake_client.media import MediaType

from bulk.check import Tally, check_output
from bulk.errors import BulkError, ClusterError, IncompleteError, NotWrittenError, ServiceLostError
from bulk.patience import Pace
from bulk.shards import ShardFormat
from bulk.storage import open_storage
from bulk.worker import Receipt

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_WRITTEN = 4
EXIT_CLUSTER = 5
EXIT_INTERRUPTED = 130

EPILOG = (
    "Exit codes: 0 every file was scored; 1 some were not, each with an error code and a reason in its row; 2 wrong "
    "usage, another model than the output's, or a machine that does not see the files; 3 no server can be reached, at "
    "the start or for good later; 4 the output cannot be written; 5 Ray failed, or the check found the output "
    "incomplete; 130 interrupted. After 2 to 5 and 130 the same command with --resume goes on."
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)

Output = Annotated[str, typer.Argument(metavar="OUTPUT", help="Folder of the rows: a path or s3://, gs://, abfs://.")]


@app.callback()
def _commands() -> None:
    """Scores the images and videos of a directory, a listing or an object store on a Ray cluster."""


@app.command(epilog=EPILOG)
def run(
    listing: Annotated[
        str,
        typer.Argument(
            metavar="LISTING",
            help="A directory; a folder of an object store (s3://bucket/folder/); or a list of paths and URIs: .csv, "
            ".parquet, or text with one a line.",
        ),
    ],
    output: Output,
    servers: Annotated[
        str,
        typer.Option(
            "--servers",
            "--url",
            envvar="DEEPFAKE_URL",
            help="host:port of Triton's gRPC endpoint as the workers reach it, or several separated by commas.",
        ),
    ] = "localhost:8001",
    concurrency: Annotated[int, typer.Option(min=1, help="Workers, Ray actors, each with its own client.")] = 2,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Files in progress at once in each worker.")] = 8,
    videos_in_flight: Annotated[
        int, typer.Option(min=1, max=64, help="Videos among them: each holds its frames in memory.")
    ] = 2,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that is in OUTPUT, and add what is new in the listing.")
    ] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="With --resume: score units again in which a file failed with this error code. May be repeated.",
        ),
    ] = None,
    format_: Annotated[ShardFormat, typer.Option("--format", help="Of the rows.")] = ShardFormat.PARQUET,
    column: Annotated[
        str | None,
        typer.Option(show_default="file, path, uri or url", help="Column of a CSV or Parquet listing with the names."),
    ] = None,
    media_type: Annotated[
        MediaType | None, typer.Option("--type", help="What every file must be; found out from its content otherwise.")
    ] = None,
    unit_files: Annotated[
        int, typer.Option(min=1, max=100_000, help="Files in a unit of work: what is lost at most when a worker dies.")
    ] = 200,
    timeout_s: Annotated[
        float | None, typer.Option(min=0.001, show_default="60.0", help="Deadline of each file in seconds.")
    ] = None,
    give_up_after_s: Annotated[
        float, typer.Option(min=1, help="How long a worker waits for servers while nothing can be scored.")
    ] = 900.0,
    worker_deaths: Annotated[
        int, typer.Option(min=1, help="Workers that die of a unit before its files are scored one by one.")
    ] = 3,
    cpus_per_worker: Annotated[
        float, typer.Option(min=0.01, help="Cores that Ray reserves for each worker; decoding videos takes one.")
    ] = 1.0,
    ray_address: Annotated[
        str | None,
        typer.Option(show_default="RAY_ADDRESS, else this machine", help="host:port of the Ray cluster, or auto."),
    ] = None,
) -> None:
    """Scores every file of LISTING and writes its row to OUTPUT, exactly one for each.

    A worker or machine that dies, or a run that is cut off, loses nothing: OUTPUT/manifest.json says that all is there.
    """
    from bulk.cluster import Pool
    from bulk.run import Request
    from bulk.run import run as run_bulk

    request = Request(
        listing=listing,
        output=output,
        servers=servers,
        resume=resume,
        format=format_,
        media_type=media_type,
        unit_files=unit_files,
        pace=Pace(in_flight, videos_in_flight, timeout_s, give_up_after_s),
        worker_deaths=worker_deaths,
        pool=Pool(concurrency, cpus_per_worker),
        ray_address=ray_address,
        column=column,
        again=tuple(again or ()),
    )
    try:
        tally = run_bulk(request, _show, lambda line: typer.echo(line, err=True))
    except (BulkError, DetectionError) as error:
        _fail(str(error), _exit_code(error))
    except KeyboardInterrupt:
        _fail("interrupted; the same command with --resume goes on", EXIT_INTERRUPTED)
    _end(tally)


@app.command(epilog=EPILOG)
def check(output: Output) -> None:
    """Reads all of OUTPUT and proves that each file that was listed has exactly one row."""
    try:
        tally = check_output(open_storage(output))
    except BulkError as error:
        _fail(str(error), _exit_code(error))
    _end(tally)


def _show(receipts: Iterable[Receipt], files: int) -> Iterator[Receipt]:
    """Progress in files, since units take their time and differ."""

    def one_a_file() -> Iterator[Receipt | None]:
        for receipt in itertools.chain(first, receipts):
            yield from [None] * (receipt.files - 1)
            yield receipt

    receipts = iter(receipts)
    first = list(itertools.islice(receipts, 1))  # the clock starts when the workers have
    progress = with_progress(one_a_file(), files)
    with closing(progress):  # type: ignore[type-var]
        yield from (receipt for receipt in progress if receipt is not None)


def _end(tally: Tally) -> NoReturn:
    typer.echo(f"{tally.files} files, each with one row in {tally.units} shards: {tally.scored} scored by "
               f"{tally.model_version}, {tally.failed.total()} failed")  # fmt: skip
    for code, count in tally.failed.most_common():
        typer.echo(f"  {code}: {count}")
    for name in tally.set_aside[:10]:
        typer.echo(f"set aside, since its worker died each time: {name}", err=True)
    raise typer.Exit(EXIT_SOME_FAILED if tally.failed else 0)


def _exit_code(error: BulkError | DetectionError) -> int:
    if isinstance(error, ServiceLostError) or (
        isinstance(error, DetectionError) and not isinstance(error, ConfigurationError)
    ):
        return EXIT_UNREACHABLE
    if isinstance(error, NotWrittenError):
        return EXIT_NOT_WRITTEN
    return EXIT_CLUSTER if isinstance(error, ClusterError | IncompleteError) else EXIT_USAGE


def _fail(message: str, code: int) -> NoReturn:
    sys.stdout.flush()
    typer.echo(f"deepfake-bulk: {message}", err=True)
    raise typer.Exit(code)
