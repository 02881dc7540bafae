"""What runs in each Ray actor: it takes units, scores their files on the servers and writes their shards.

Nothing here knows Ray: a unit that is done twice, by whomever, gives the same shard under the same name.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from deepfake_client.batch.scoring import FileReport
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.media import MediaType
from deepfake_client.settings import ClientSettings
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from bulk.attempts import Attempts
from bulk.errors import BulkError, ModelChangedError, NodeError, NotWrittenError, ServiceLostError
from bulk.media import media_name
from bulk.patience import Pace, score_patiently
from bulk.plan import Unit, read_settings
from bulk.shards import ShardFormat, encode_shard, shard_name
from bulk.storage import Storage, open_storage

WORKER_LOST = "WORKER_LOST"
"""Error code of a file whose worker dies whenever it scores this file alone."""

_FILE_DEATHS = 2


class Outcome(StrEnum):
    """How a unit ended."""

    DONE = "done"
    DONE_BEFORE = "done before"
    SERVICE_LOST = "service lost"
    MODEL_CHANGED = "model changed"
    WRONG_NODE = "wrong node"
    NOT_WRITTEN = "not written"


_ERRORS: dict[Outcome, type[BulkError]] = {
    Outcome.SERVICE_LOST: ServiceLostError,
    Outcome.MODEL_CHANGED: ModelChangedError,
    Outcome.WRONG_NODE: NodeError,
    Outcome.NOT_WRITTEN: NotWrittenError,
}


@dataclass(frozen=True)
class Task:
    """What every worker of a run is told.

    Attributes:
        servers: As `deepfake_client.create_detector` takes them.
        client_settings: Values of `ClientSettings`, as the driver read them from its environment.
        output: The output folder.
        plan_id: Of the plan that must be seen there.
        format: Of the shards.
        media_type: What every file must be, None for either.
        model_version: The model that must answer.
        pace: How to score.
        worker_deaths: After how many of them a unit's files are scored one by one.
        local_folder: A directory that must be seen, None where no file is local.
    """

    servers: str
    client_settings: dict[str, Any]
    output: str
    plan_id: str
    format: ShardFormat
    media_type: MediaType | None
    model_version: str
    pace: Pace
    worker_deaths: int
    local_folder: str | None


@dataclass(frozen=True)
class Receipt:
    """What a worker tells of a unit.

    Attributes:
        unit_id: Which.
        outcome: How it ended.
        files: How many files have a row now.
        message: Why it was not done, "" if it was.
    """

    unit_id: str
    outcome: Outcome
    files: int
    message: str = ""

    def check(self) -> None:
        """Raises what ended the unit, if something did.

        Raises:
            BulkError: One of its subclasses, by the outcome.
        """
        if self.outcome in _ERRORS:
            raise _ERRORS[self.outcome](self.message)


class UnitWorker:
    """Scores units one after another. Called with a table of units by Ray; connects at the first."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self, units: pa.Table) -> Iterator[pa.Table]:
        """Does the units of a table (see `units_table`) and gives a table with one receipt after each."""
        for row in units.to_pylist():
            unit = Unit(row["unit"], tuple(os.fsdecode(name) for name in row["files"]))
            yield receipts_table(self.do(unit))

    def do(self, unit: Unit) -> Receipt:
        """Scores a unit and writes its shard, unless it is there; never raises what a `Receipt` can tell."""
        try:
            self._node_is_right  # noqa: B018 - looked at once in a worker's life
            if self._storage.exists(shard_name(unit.id, self._task.format)):
                return Receipt(unit.id, Outcome.DONE_BEFORE, len(unit.names))
            reports = self._score(unit)
            _write(self._storage, shard_name(unit.id, self._task.format), encode_shard(reports, self._task.format))
            self._attempts.forget(unit.id)
        except BulkError as error:
            outcome = next((outcome for outcome, kind in _ERRORS.items() if isinstance(error, kind)), None)
            if outcome is None:
                raise
            return Receipt(unit.id, outcome, 0, str(error))
        except OSError as error:
            return Receipt(unit.id, Outcome.NOT_WRITTEN, 0, f"cannot write {self._task.output}: {error}")
        return Receipt(unit.id, Outcome.DONE, len(reports))

    @cached_property
    def _storage(self) -> Storage:
        return open_storage(self._task.output)

    @cached_property
    def _attempts(self) -> Attempts:
        return Attempts(self._storage)

    @cached_property
    def _detector(self) -> Detector:
        return create_detector(self._task.servers, ClientSettings(**self._task.client_settings))

    @cached_property
    def _node_is_right(self) -> bool:
        """Refuses to work where a shared file system is not mounted: every file would be missing, every shard lost."""
        host = os.uname().nodename
        folder = self._task.local_folder
        if folder is not None and not Path(folder).is_dir():
            raise NodeError(f"{host} does not see {folder}: mount it on every machine of the cluster, or use URIs")
        settings = read_settings(self._storage)
        if settings is None or settings.plan_id != self._task.plan_id:
            raise NodeError(
                f"{host} does not see this run's plan in {self._task.output}: the output must be a shared file system "
                "that every machine of the cluster has mounted, or a folder of an object store"
            )
        return True

    def _score(self, unit: Unit) -> list[FileReport]:
        deaths = self._attempts.deaths(unit.id)
        if deaths.of_unit < self._task.worker_deaths:
            mark = self._attempts.begin(unit.id)
            try:
                return self._score_files(unit.names)
            finally:
                self._attempts.end(mark)
        return [self._score_alone(unit, place, deaths.of_files[place]) for place in range(len(unit.names))]

    def _score_alone(self, unit: Unit, place: int, deaths: int) -> FileReport:
        name = media_name(unit.names[place])
        if deaths >= _FILE_DEATHS:
            message = f"{name}: the process that scored nothing but this file died, {deaths} times"
            return FileReport(name, error_code=WORKER_LOST, error_message=message)
        mark = self._attempts.begin(unit.id, place)
        try:
            return self._score_files(unit.names[place : place + 1])[0]
        finally:
            self._attempts.end(mark)

    def _score_files(self, names: tuple[str, ...]) -> list[FileReport]:
        task = self._task
        return score_patiently(
            self._detector, [media_name(name) for name in names], task.media_type, task.model_version, task.pace
        )


def units_table(units: list[Unit]) -> pa.Table:
    """Units as Ray carries them: names only, never what is in the files."""
    return pa.table(
        {
            "unit": pa.array([unit.id for unit in units], pa.string()),
            "files": pa.array([[os.fsencode(name) for name in unit.names] for unit in units], pa.list_(pa.binary())),
        }
    )


def receipts_table(*receipts: Receipt) -> pa.Table:
    """Receipts as Ray carries them."""
    return pa.Table.from_pylist([{**vars(receipt), "outcome": receipt.outcome.value} for receipt in receipts])


def receipts_of(table: pa.Table) -> list[Receipt]:
    """The receipts of a table."""
    return [Receipt(**{**row, "outcome": Outcome(row["outcome"])}) for row in table.to_pylist()]


@retry(
    stop=stop_after_attempt(5),
    wait=wait_random_exponential(multiplier=0.3, max=10.0),
    retry=retry_if_exception_type(OSError),
    reraise=True,
)
def _write(storage: Storage, name: str, content: bytes) -> None:
    storage.write(name, content)
