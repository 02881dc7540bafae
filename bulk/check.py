"""Proves that an output holds exactly one row for each listed file, by reading all of it."""

from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from bulk.errors import IncompleteError, OutputError
from bulk.plan import Plan, Unit, read_plan
from bulk.shards import ROWS_FOLDER, ShardFormat, decode_shard, file_name, shard_name
from bulk.storage import Storage
from bulk.worker import WORKER_LOST

_READERS = 16
_MOST_SHOWN = 10


@dataclass
class Tally:
    """What is in an output.

    Attributes:
        model_version: The model of all scores.
        units: Number of shards.
        files: Number of rows, and of listed files.
        failed: Rows by error code, of the files that were not scored.
        set_aside: Names of the files whose workers died, as their rows have them.
    """

    model_version: str
    units: int = 0
    files: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    set_aside: list[str] = field(default_factory=list)

    @property
    def scored(self) -> int:
        """Files with a score."""
        return self.files - self.failed.total()


def check_output(storage: Storage) -> Tally:
    """Reads every shard of a finished run.

    Raises:
        IncompleteError: Not exactly one row for each file; the message names what is wrong.
        OutputError: There is no plan, or something cannot be read.
    """
    plan = read_plan(storage)
    if plan is None:
        raise OutputError(f"{storage.location} holds no plan: it is no output of deepfake-bulk")
    format_ = ShardFormat(plan.settings.format)
    try:
        shards = {f"{ROWS_FOLDER}/{name}" for name in storage.names(ROWS_FOLDER)}
    except OSError as error:
        raise OutputError(f"cannot read {storage.location}: {error}") from error
    planned = {shard_name(unit.id, format_) for unit in plan.units}
    problems = [f"{name} belongs to no unit of the plan" for name in sorted(shards - planned)]
    problems += [f"{name} is missing" for name in sorted(planned - shards)]
    problems += _listed_twice(plan.units)
    tally = Tally(plan.settings.model_version)
    there = [unit for unit in plan.units if shard_name(unit.id, format_) in shards]
    with ThreadPoolExecutor(_READERS) as pool:
        for found, wrong in pool.map(lambda unit: _check_unit(storage, plan, unit), there):
            problems += wrong
            tally.units += 1
            tally.files += found.files
            tally.failed += found.failed
            tally.set_aside += found.set_aside
    if problems:
        more = f" and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        raise IncompleteError(f"{storage.location}: {'; '.join(problems[:_MOST_SHOWN])}{more}")
    return tally


def forget_failed(storage: Storage, plan: Plan, codes: Collection[str]) -> int:
    """Deletes the shards that hold a row with one of these error codes, so that their units are scored again.

    Returns:
        How many rows with such a code there were.

    Raises:
        OutputError: A shard cannot be read or deleted.
    """
    format_ = ShardFormat(plan.settings.format)

    def forget(name: str) -> int:
        shard = f"{ROWS_FOLDER}/{name}"
        count = sum(row.error_code in codes for row in decode_shard(storage.read(shard), format_))
        if count:
            storage.delete(shard)
        return count

    try:
        with ThreadPoolExecutor(_READERS) as pool:
            return sum(pool.map(forget, storage.names(ROWS_FOLDER)))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise OutputError(f"a shard in {storage.location} cannot be read: {error}") from error


def _check_unit(storage: Storage, plan: Plan, unit: Unit) -> tuple[Tally, list[str]]:
    """What a shard holds, and what is wrong with it."""
    format_ = ShardFormat(plan.settings.format)
    shard = shard_name(unit.id, format_)
    tally = Tally(plan.settings.model_version)
    try:
        rows = decode_shard(storage.read(shard), format_)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        return tally, [f"{shard} cannot be read: {error}"]
    tally.files = len(rows)
    tally.failed.update(row.error_code for row in rows if row.error_code)
    tally.set_aside += [row.file for row in rows if row.error_code == WORKER_LOST]
    problems = []
    listed = Counter(file_name(name, format_) for name in unit.names)
    there = Counter(row.file for row in rows)
    if listed != there:
        problems += [f"{name} has no row in {shard}" for name in listed - there]
        problems += [f"{name} has a row too many in {shard}" for name in there - listed]
    if strangers := {row.model_version for row in rows if row.model_version} - {tally.model_version}:
        problems.append(f"{shard} holds scores of {', '.join(sorted(strangers))}")
    return tally, problems


def _listed_twice(units: Sequence[Unit]) -> list[str]:
    counts = Counter(name for unit in units for name in unit.names)
    return [f"{name} is in {count} units" for name, count in counts.items() if count > 1]
