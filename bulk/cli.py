"""The command line `deepfake-bulk`: listing, output, cluster, proof."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bulk.errors import EXIT_CLUSTER, BulkError
from deepfake_client.batch.progress import with_progress
from deepfake_client.command_line import exits
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import Version
from deepfake_client.errors import DetectionError

PROGRAM = "deepfake-bulk"

EXIT_CODES = {
    **exits.SCORING_EXIT_CODES,
    exits.EXIT_USAGE: "wrong usage, a package is missing, another model than the output's, or a machine that does not "
    "see the files",
    EXIT_CLUSTER: "Ray failed, or the output is incomplete",
    exits.EXIT_INTERRUPTED: "interrupted; after this and after 2 to 5 the same command with --resume goes on",
}
EXAMPLES = (
    "deepfake-bulk /data/media /data/rows",
    "deepfake-bulk s3://bucket/media/ s3://bucket/rows --url dns:///triton:8001",
    "deepfake-bulk list.csv /data/rows --resume",
)
GROUPS = {"column": "Input", "url": "Servers", "concurrency": "Cluster", "resume": "Results"}
OLD_NAMES = {"--servers": "--url", "--give-up-after-s": "--outage-wait-s"}

_PACKAGES = {"ray": "bulk", "pyarrow": "bulk", "fsspec": "bulk"}
_LONGEST_OUTAGE_WAIT_S = 30.0

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES), no_args_is_help=True)
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
    column: Annotated[
        str | None, typer.Option(show_default="file, path, uri, url or the first", help="Of a CSV or Parquet listing.")
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            envvar="DEEPFAKE_URL",
            help="host:port of Triton's gRPC endpoint, or several separated by commas; dns:///NAME:PORT for several "
            "servers behind one name; as the cluster's machines reach them.",
        ),
    ] = "localhost:8001",
    outage_wait_s: Annotated[
        float,
        typer.Option(
            min=1,
            help="How long servers that are away or overloaded are waited for, in seconds.",
        ),
    ] = 900.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Units in progress at once, each in its own process.")] = 2,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Files in progress at once in each process.")] = 8,
    unit_files: Annotated[
        int, typer.Option(min=1, max=100_000, help="Files that are scored and written together.")
    ] = 200,
    cpus_per_worker: Annotated[float, typer.Option(min=0.01, help="Cores that Ray reserves for each process.")] = 1.0,
    ray_address: Annotated[
        str | None, typer.Option(show_default="RAY_ADDRESS, else this machine", help="host:port of the Ray cluster.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Score the files of LISTING that have no row in OUTPUT.")
    ] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="With --resume: score units again in which a file failed with this code. May be given again.",
        ),
    ] = None,
    _version: Version = False,
) -> None:
    """Scores images and videos on a Ray cluster and writes one row for each file of LISTING to OUTPUT.

    A process or machine that dies, or a run that is cut off, loses nothing. At the end all rows are read and compared
    with LISTING. Then OUTPUT/manifest.json, which is printed too, counts them.
    """
    exits.require_packages(PROGRAM, _PACKAGES)
    from bulk.cluster import score_units
    from bulk.listing import read_listing
    from bulk.output import Output
    from bulk.stores import local_path
    from bulk.worker import Task

    try:
        names, folder = read_listing(listing, column), Output(output)
        wait_s = min(_LONGEST_OUTAGE_WAIT_S, outage_wait_s / 4)
        with exits.connected(PROGRAM, url, wait_s) as (detector, info):
            client_settings = detector.settings
        output_id = folder.begin(info.version, resume).id
        missing = folder.missing(names, again or ())
        if resume:
            typer.echo(f"{len(names) - len(missing)} files have a row already, {len(missing)} are left", err=True)
        task = Task(
            servers=url,
            client_settings=client_settings,
            output=folder.location,
            output_id=output_id,
            witness=next((name for name in map(local_path, names) if name and Path(name).is_file()), None),
            model_version=info.version,
            files_in_flight=in_flight,
            give_up_after_s=outage_wait_s,
        )
        units = [tuple(missing[start : start + unit_files]) for start in range(0, len(missing), unit_files)]
        if units:
            done = score_units(units, task, concurrency, cpus_per_worker, ray_address)
            for _ in with_progress((name for unit in done for name in unit), len(missing)):
                pass
        manifest = folder.finish(info.version, names)
    except BulkError as error:
        exits.fail(PROGRAM, str(error), error.exit_code)
    except DetectionError as error:
        exits.fail(PROGRAM, str(error), exits.EXIT_UNREACHABLE)
    except KeyboardInterrupt:
        exits.fail(PROGRAM, "interrupted; the same command with --resume goes on", exits.EXIT_INTERRUPTED)
    typer.echo(json.dumps(manifest, indent=2))
    raise typer.Exit(exits.EXIT_SOME_FAILED if manifest["failed"] else 0)


def main() -> None:
    """Entry point of the console script."""
    exits.run(app, PROGRAM)
