"""Which files an output folder is about, cut into units of work; kept in the folder, so that every run means the same.

A unit's name is made from the files in it. A plan only grows: the files that a later listing adds are new units.
"""

import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from bulk.errors import NotWrittenError, OutputError
from bulk.storage import Storage

PLAN_FOLDER = "_plan"
SETTINGS_NAME = f"{PLAN_FOLDER}/settings.json"
_VERSION = 1
_SCHEMA = pa.schema([("unit", pa.string()), ("file", pa.binary())])


@dataclass(frozen=True)
class PlanSettings:
    """What all rows of an output folder have in common.

    Attributes:
        format: Of the shards: parquet or jsonl.
        media_type: What every file must be, "" for either.
        model_version: The model that scores them.
        plan_id: Made up once, so that a worker can tell that it sees this folder and no other of the same name.
    """

    format: str
    media_type: str
    model_version: str
    plan_id: str = ""


@dataclass(frozen=True)
class Unit:
    """Files that are scored by one worker and written as one shard.

    Attributes:
        id: Its name, and its shard's: the part of the listing, its place there, and a hash of the file names.
        names: The files.
    """

    id: str
    names: tuple[str, ...]


class Plan:
    """The plan of an output folder."""

    def __init__(self, storage: Storage, settings: PlanSettings, units: Sequence[Unit]) -> None:
        """See `open_plan`."""
        self.settings = settings
        self.units = list(units)
        self._storage = storage
        self._parts = len({unit.id.split("-")[0] for unit in units})

    def add(self, names: Sequence[str], unit_files: int) -> int:
        """Adds units of the files that the plan does not have yet, and keeps it; returns how many files are new.

        Raises:
            NotWrittenError: The plan cannot be kept; nothing has changed.
        """
        known = {name for unit in self.units for name in unit.names}
        new = [name for name in names if name not in known]
        units = list(_cut(new, self._parts, unit_files))
        if units:
            content = _encode(units)
            part = f"{PLAN_FOLDER}/listing-{self._parts:04}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
            try:
                self._storage.write(part, content)
            except OSError as error:
                raise NotWrittenError(f"cannot write {self._storage.location}/{part}: {error}") from error
            self.units += units
            self._parts += 1
        return len(new)


def open_plan(storage: Storage, settings: PlanSettings, resume: bool) -> Plan:
    """The plan of an output folder: the one that is there, or a new one without files.

    Raises:
        OutputError: There is one and `resume` is false, or it was made with other settings or by another version; or
            the folder cannot be read or written.
    """
    refuse_begun(storage, resume)
    there = read_plan(storage)
    if there is not None:
        _refuse_other(there.settings, settings, storage.location)
        return there
    settings = PlanSettings(settings.format, settings.media_type, settings.model_version, uuid.uuid4().hex)
    try:
        if foreign := storage.names("rows"):
            raise OutputError(f"{storage.location} holds {foreign[0]} and no plan: it is no output of deepfake-bulk")
        storage.write(SETTINGS_NAME, json.dumps({"version": _VERSION, **asdict(settings)}).encode())
    except OSError as error:
        raise NotWrittenError(f"cannot write {storage.location}: {error}") from error
    return Plan(storage, settings, [])


def refuse_begun(storage: Storage, resume: bool) -> None:
    """Refuses a folder with a plan where it is not to be continued.

    Raises:
        OutputError: There is one and `resume` is false, or the folder cannot be read.
    """
    try:
        begun = storage.exists(SETTINGS_NAME)
    except OSError as error:
        raise OutputError(f"{storage.location} cannot be read: {error}") from error
    if begun and not resume:
        raise OutputError(f"{storage.location} holds the rows of a run: continue it with --resume, or give another")


def read_plan(storage: Storage) -> Plan | None:
    """The plan that is in an output folder, None where there is none.

    Raises:
        OutputError: It cannot be read.
    """
    try:
        if (settings := read_settings(storage)) is None:
            return None
        parts = [name for name in storage.names(PLAN_FOLDER) if name.startswith("listing-")]
        units = [unit for part in parts for unit in _decode(storage.read(f"{PLAN_FOLDER}/{part}"))]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise OutputError(f"the plan in {storage.location} cannot be read: {error}") from error
    return Plan(storage, settings, units)


def read_settings(storage: Storage) -> PlanSettings | None:
    """The settings of the plan in a folder, None where there is none.

    Raises:
        OSError, ValueError, KeyError, TypeError: They cannot be read.
    """
    try:
        content = json.loads(storage.read(SETTINGS_NAME))
    except FileNotFoundError:
        return None
    if (version := content.pop("version")) != _VERSION:
        raise ValueError(f"it is of version {version}, not {_VERSION}")
    return PlanSettings(**content)


def _refuse_other(there: PlanSettings, wanted: PlanSettings, location: str) -> None:
    for what, old, new in (
        ("rows in the format", there.format, wanted.format),
        ("rows of files of the type", there.media_type or "either", wanted.media_type or "either"),
        ("scores of", there.model_version, wanted.model_version),
    ):
        if old != new:
            raise OutputError(f"{location} holds {what} {old}, and now it would be {new}: continue as it was begun, "
                              "or score everything again into another folder")  # fmt: skip


def _cut(names: Sequence[str], part: int, unit_files: int) -> Iterator[Unit]:
    for number, start in enumerate(range(0, len(names), unit_files)):
        files = tuple(names[start : start + unit_files])
        digest = hashlib.sha256(b"\0".join(os.fsencode(name) for name in files)).hexdigest()
        yield Unit(f"{part:04}-{number:06}-{digest[:16]}", files)


def _encode(units: Sequence[Unit]) -> bytes:
    ids = [unit.id for unit in units for _ in unit.names]
    names = [os.fsencode(name) for unit in units for name in unit.names]
    stream = io.BytesIO()
    pq.write_table(pa.table([ids, names], schema=_SCHEMA), stream, compression="zstd")
    return stream.getvalue()


def _decode(content: bytes) -> Iterator[Unit]:
    table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
    rows = zip(table["unit"].to_pylist(), table["file"].to_pylist(), strict=True)
    for unit_id, group in groupby(rows, key=lambda row: row[0]):
        yield Unit(unit_id, tuple(os.fsdecode(name) for _, name in group))
