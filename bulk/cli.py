"""The command line `deepfake-bulk`: listing, output, cluster, proof."""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bulk.errors import EXIT_INTERRUPTED, EXIT_SOME_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, BulkError
from bulk.listing import read_listing
from bulk.output import Output
from bulk.stores import local_path
from bulk.worker import Task
from deepfake_client.batch.progress import with_progress
from deepfake_client.connect import connect_for_batch
from deepfake_client.errors import ConfigurationError, DetectionError
from deepfake_client.plain_text import shown

_LONGEST_OUTAGE_WAIT_S = 30.0

EXAMPLES = """\b
Examples:
  deepfake-bulk /data/media /data/rows
  deepfake-bulk s3://bucket/media/ s3://bucket/rows --servers dns:///triton:8001
  deepfake-bulk list.csv /data/rows --resume

"""

EPILOG = EXAMPLES + (
    "Exit codes: 0 every file was scored; 1 some were not, each with an error code and a reason in its row; 2 wrong "
    "usage, another model than the output's, or a machine that does not see the files; 3 no server can be reached, at "
    "the start or for good later; 4 the output cannot be written; 5 Ray failed, or the output is incomplete; 130 "
    "interrupted. After 2 to 5 and 130 the same command with --resume goes on."
)

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)


@app.command(epilog=EPILOG)
def run(
    listing: Annotated[
        str,
        typer.Argument(
            metavar="LISTING",
            help="A directory or glob pattern; a folder of an object store (s3://bucket/folder/); or a list of paths "
            "and URIs: .csv, .parquet, or text with one a line.",
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Folder of the rows: a path or s3://, gs://, abfs://.")
    ],
    servers: Annotated[
        str, typer.Option(envvar="DEEPFAKE_URL", help="Triton's gRPC address or addresses, as the workers reach them.")
    ] = "localhost:8001",
    concurrency: Annotated[int, typer.Option(min=1, help="Units in progress at once, each in its own process.")] = 2,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Files in progress at once in each process.")] = 8,
    resume: Annotated[
        bool, typer.Option("--resume", help="Score the files of LISTING that have no row in OUTPUT.")
    ] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="With --resume: score units again in which a file failed with this code."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(show_default="file, path, uri, url or the first", help="Of a CSV or Parquet listing.")
    ] = None,
    unit_files: Annotated[
        int, typer.Option(min=1, max=100_000, help="Files that are scored and written together.")
    ] = 200,
    give_up_after_s: Annotated[
        float, typer.Option(min=1, help="How long servers that are away are waited for.")
    ] = 900.0,
    cpus_per_worker: Annotated[float, typer.Option(min=0.01, help="Cores that Ray reserves for each process.")] = 1.0,
    ray_address: Annotated[
        str | None, typer.Option(show_default="RAY_ADDRESS, else this machine", help="host:port of the Ray cluster.")
    ] = None,
) -> None:
    """Scores images and videos on a Ray cluster and writes one row for each file of LISTING to OUTPUT.

    A process or machine that dies, or a run that is cut off, loses nothing. At the end all rows are read and compared
    with LISTING. Then OUTPUT/manifest.json, which is printed too, counts them.
    """
    from bulk.cluster import score_units

    try:
        names, folder = read_listing(listing, column), Output(output)
        wait_s = min(_LONGEST_OUTAGE_WAIT_S, give_up_after_s / 4)
        detector, info = connect_for_batch(servers, wait_s)
        detector.close()
        output_id = folder.begin(info.version, resume).id
        missing = folder.missing(names, again or ())
        if resume:
            typer.echo(f"{len(names) - len(missing)} files have a row already, {len(missing)} are left", err=True)
        task = Task(
            servers=servers,
            client_settings=detector.settings,
            output=folder.location,
            output_id=output_id,
            witness=next((name for name in map(local_path, names) if name and Path(name).is_file()), None),
            model_version=info.version,
            files_in_flight=in_flight,
            give_up_after_s=give_up_after_s,
        )
        units = [tuple(missing[start : start + unit_files]) for start in range(0, len(missing), unit_files)]
        if units:
            done = score_units(units, task, concurrency, cpus_per_worker, ray_address)
            for _ in with_progress((name for unit in done for name in unit), len(missing)):
                pass
        manifest = folder.finish(info.version, names)
    except (BulkError, DetectionError) as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail(BulkError("interrupted; the same command with --resume goes on", EXIT_INTERRUPTED))
    typer.echo(json.dumps(manifest, indent=2))
    raise typer.Exit(EXIT_SOME_FAILED if manifest["failed"] else 0)


def _fail(error: BulkError | DetectionError) -> NoReturn:
    typer.echo(shown(f"deepfake-bulk: {error}"), err=True)
    otherwise = EXIT_USAGE if isinstance(error, ConfigurationError) else EXIT_UNREACHABLE
    raise typer.Exit(error.exit_code if isinstance(error, BulkError) else otherwise)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="deepfake-bulk")
