from collections.abc import Callable

import pytest

from bulk.check import check_output, forget_failed
from bulk.errors import IncompleteError, OutputError
from bulk.plan import Plan
from bulk.shards import ROWS_FOLDER
from bulk.storage import LocalStorage
from bulk.worker import UnitWorker
from tests.bulk.conftest import MODEL_VERSION, MakeTask


@pytest.fixture
def shard(make_task: MakeTask, plan: Plan, storage: LocalStorage) -> str:
    """The one shard of a finished run."""
    UnitWorker(make_task()).do(plan.units[0])
    (name,) = storage.names(ROWS_FOLDER)
    return f"{ROWS_FOLDER}/{name}"


def test_a_whole_output_is_counted(shard: str, storage: LocalStorage) -> None:
    tally = check_output(storage)
    assert (tally.units, tally.files, tally.scored, tally.model_version) == (1, 10, 7, MODEL_VERSION)
    assert tally.failed == {"MEDIA_NOT_FOUND": 1, "UNSUPPORTED_MEDIA": 1, "NOTHING_SCORED": 1}


def _without_last_row(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:-1])


def _with_first_row_twice(content: bytes) -> bytes:
    return content.splitlines(keepends=True)[0] + content


def _torn(content: bytes) -> bytes:
    return content[:-20]


def _of_another_model(content: bytes) -> bytes:
    return content.replace(MODEL_VERSION.encode(), b"example/detector@fp32-other")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_last_row, r"9\.jpg has no row in rows/"),
        (_with_first_row_twice, r"0\.jpg has a row too many in rows/"),
        (_torn, "cannot be read"),
        (_of_another_model, "holds scores of example/detector@fp32-other"),
    ],
)
def test_a_damaged_shard_is_found(
    shard: str, storage: LocalStorage, damage: Callable[[bytes], bytes], reason: str
) -> None:
    storage.write(shard, damage(storage.read(shard)))
    with pytest.raises(IncompleteError, match=reason):
        check_output(storage)


def test_a_shard_that_is_missing_or_foreign_is_found(shard: str, storage: LocalStorage) -> None:
    storage.write("rows/mine.jsonl", storage.read(shard))
    storage.delete(shard)
    with pytest.raises(IncompleteError, match=r"rows/mine\.jsonl belongs to no unit of the plan; rows/.* is missing"):
        check_output(storage)


def test_a_file_in_two_units_is_found(shard: str, plan: Plan, storage: LocalStorage) -> None:
    content = storage.read(f"_plan/{storage.names('_plan')[0]}")
    storage.write("_plan/listing-0001-copy.parquet", content)
    with pytest.raises(IncompleteError, match="is in 2 units"):
        check_output(storage)


def test_what_is_no_output_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(OutputError, match="holds no plan"):
        check_output(LocalStorage(tmp_path_factory.mktemp("empty")))


def test_units_with_a_failure_are_forgotten_and_no_others(
    shard: str, make_task: MakeTask, plan: Plan, storage: LocalStorage, media: list[str]
) -> None:
    plan.add([*media, "/nowhere/else.jpg"], 10)
    UnitWorker(make_task()).do(plan.units[1])
    assert forget_failed(storage, plan, {"WORKER_LOST", "OVERLOADED"}) == 0
    assert len(storage.names(ROWS_FOLDER)) == 2
    assert forget_failed(storage, plan, {"NOTHING_SCORED", "WORKER_LOST"}) == 1
    assert [f"{ROWS_FOLDER}/{name}" for name in storage.names(ROWS_FOLDER)] != [shard]
    UnitWorker(make_task()).do(plan.units[0])
    assert check_output(storage).files == 11
