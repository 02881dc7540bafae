"""A whole run: listing, plan, workers, check, manifest."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deepfake_client.connect import connect_for_batch
from deepfake_client.errors import ConfigurationError
from deepfake_client.media import MediaType
from deepfake_client.settings import ClientSettings
from pydantic import ValidationError

from bulk.attempts import Attempts
from bulk.check import Tally, check_output, forget_failed
from bulk.cluster import Cluster, Pool, connected
from bulk.errors import IncompleteError, NotWrittenError
from bulk.listing import Listing, common_folder, read_listing
from bulk.patience import Pace
from bulk.plan import Plan, PlanSettings, Unit, open_plan, refuse_begun
from bulk.shards import ROWS_FOLDER, ShardFormat, shard_name
from bulk.storage import Storage, open_storage
from bulk.worker import Receipt, Task

MANIFEST_NAME = "manifest.json"
_MANIFEST_VERSION = 1
_LONGEST_OUTAGE_WAIT_S = 30.0

Show = Callable[[Iterable[Receipt], int], Iterator[Receipt]]
"""Passes receipts of units on and shows how far they are, of so many files."""


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes:
        listing: As `read_listing` takes it, with `column`.
        output: The output folder: a path or URI.
        servers: host:port of a Triton server, or several separated by commas.
        resume: Continue what is in the output folder, if anything is.
        format: Of the shards.
        media_type: What every file must be, None for either.
        unit_files: Files in a unit.
        pace: How each worker scores.
        worker_deaths: After how many of them a unit's files are scored one by one.
        pool: The workers.
        ray_address: As `connected` takes it.
        column: Of the listing.
        again: Error codes: units with a row that has one of them are scored again.
    """

    listing: str
    output: str
    servers: str
    resume: bool
    format: ShardFormat
    media_type: MediaType | None
    unit_files: int
    pace: Pace
    worker_deaths: int
    pool: Pool
    ray_address: str | None
    column: str | None
    again: tuple[str, ...] = ()


def run(request: Request, show: Show, say: Callable[[str], None]) -> Tally:
    """Scores every file of the listing that has no row yet, and proves that each has exactly one then.

    Args:
        request: What to do.
        show: Shows progress.
        say: Takes a line for the user.

    Raises:
        BulkError: One of its subclasses. What has been written stays, and a run with `resume` goes on.
        DetectionError: No server can be reached at the start.
    """
    listing = read_listing(request.listing, request.column)
    if listing.repeated:
        say(f"{listing.repeated} entries of the listing name a file again; each file is scored once")
    storage = open_storage(request.output)
    refuse_begun(storage, request.resume)
    settings, model_version = _connect(request)
    with connected(request.ray_address) as cluster, cluster.claim(storage.location):
        wanted = PlanSettings(request.format, request.media_type or "", model_version)
        plan = open_plan(storage, wanted, request.resume)
        todo = _prepare(plan, listing, storage, request, say)
        if todo:
            task = _task(request, settings, plan, listing, storage)
            _score(cluster, todo, task, request, show)
        return _finish(storage, plan)


def _connect(request: Request) -> tuple[ClientSettings, str]:
    """The settings that workers get, and the model that answers now."""
    try:
        settings = ClientSettings()
    except ValidationError as error:
        raise ConfigurationError(f"a DEEPFAKE_CLIENT_ setting is wrong: {error}") from error
    wait_s = min(_LONGEST_OUTAGE_WAIT_S, request.pace.give_up_after_s / 4)
    detector, info = connect_for_batch(request.servers, wait_s)
    detector.close()
    return settings.model_copy(update={"outage_wait_s": wait_s, "overload_wait_s": wait_s}), info.version


def _prepare(
    plan: Plan, listing: Listing, storage: Storage, request: Request, say: Callable[[str], None]
) -> list[Unit]:
    """The units that have no shard yet, new files among them."""
    had = sum(len(unit.names) for unit in plan.units)
    new = plan.add(listing.names, request.unit_files)
    if request.again:
        again = forget_failed(storage, plan, request.again)
        say(f"{again} files have failed with {' or '.join(request.again)}; their units are scored again")
    try:
        storage.delete(MANIFEST_NAME)
        Attempts(storage).forget_all()
        finished = set(storage.names(ROWS_FOLDER))
    except OSError as error:
        raise NotWrittenError(f"cannot write {storage.location}: {error}") from error
    todo = [unit for unit in plan.units if _file_of(unit, request.format) not in finished]
    left = sum(len(unit.names) for unit in todo)
    if had:
        say(f"{had + new - left} files have a row already, {left} are left, {new} of them new in the listing")
    return todo


def _file_of(unit: Unit, format_: ShardFormat) -> str:
    return shard_name(unit.id, format_).removeprefix(f"{ROWS_FOLDER}/")


def _task(request: Request, settings: ClientSettings, plan: Plan, listing: Listing, storage: Storage) -> Task:
    folder = common_folder(listing.names)
    return Task(
        servers=request.servers,
        client_settings=settings.model_dump(),
        output=storage.location,
        plan_id=plan.settings.plan_id,
        format=request.format,
        media_type=request.media_type,
        model_version=plan.settings.model_version,
        pace=request.pace,
        worker_deaths=request.worker_deaths,
        local_folder=folder if folder is not None and Path(folder).is_dir() else None,
    )


def _score(cluster: Cluster, todo: list[Unit], task: Task, request: Request, show: Show) -> None:
    waiting = {unit.id for unit in todo}
    with closing(cluster.score(todo, task, request.pool)) as receipts:
        for receipt in show(receipts, sum(len(unit.names) for unit in todo)):
            receipt.check()
            waiting.discard(receipt.unit_id)
    if waiting:
        raise IncompleteError(f"Ray ended without {len(waiting)} units; the same command with --resume goes on")


def _finish(storage: Storage, plan: Plan) -> Tally:
    """Checks the output and writes the manifest, by which a reader knows that it is whole."""
    tally = check_output(storage)
    manifest = {
        "version": _MANIFEST_VERSION,
        "plan_id": plan.settings.plan_id,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_version": tally.model_version,
        "format": plan.settings.format,
        "units": tally.units,
        "files": tally.files,
        "scored": tally.scored,
        "failed": dict(sorted(tally.failed.items())),
        "set_aside": tally.set_aside,
    }
    try:
        storage.delete_folder("_scratch")
        storage.write(MANIFEST_NAME, (json.dumps(manifest, indent=2) + "\n").encode())
    except OSError as error:
        raise NotWrittenError(f"cannot write {storage.location}/{MANIFEST_NAME}: {error}") from error
    return tally
