from pathlib import Path

import pytest

from bulk.errors import OutputError
from bulk.plan import PlanSettings, open_plan, read_plan
from bulk.storage import LocalStorage

SETTINGS = PlanSettings("parquet", "", "model@1")


def test_a_plan_is_read_as_it_was_made(tmp_path: Path) -> None:
    names = [f"/m/{number}.jpg" for number in range(25)] + ["/m/\udcff.jpg", "s3://b/k"]
    plan = open_plan(LocalStorage(tmp_path), SETTINGS, resume=False)
    assert plan.add(names, unit_files=10) == 27
    again = read_plan(LocalStorage(tmp_path))
    assert again is not None
    assert again.units == plan.units
    assert again.settings == plan.settings
    assert [name for unit in again.units for name in unit.names] == names
    assert [len(unit.names) for unit in again.units] == [10, 10, 7]


def test_units_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    def ids(folder: str, names: list[str]) -> list[str]:
        plan = open_plan(LocalStorage(tmp_path / folder), SETTINGS, resume=False)
        plan.add(names, 2)
        return [unit.id for unit in plan.units]

    first = ids("a", ["/1", "/2", "/3"])
    assert first == ids("b", ["/1", "/2", "/3"])
    changed = ids("c", ["/1", "/2", "/4"])
    assert first[0] == changed[0]
    assert first[1] != changed[1]


def test_a_plan_only_grows(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    plan = open_plan(storage, SETTINGS, resume=True)
    plan.add(["/1", "/2", "/3"], 2)
    before = list(plan.units)
    resumed = open_plan(storage, SETTINGS, resume=True)
    assert resumed.add(["/2", "/1", "/3"], 1) == 0
    assert resumed.units == before
    assert resumed.add(["/0", "/3", "/4"], 2) == 2
    again = open_plan(storage, SETTINGS, resume=True)
    assert again.units[: len(before)] == before
    assert [unit.names for unit in again.units[len(before) :]] == [("/0", "/4")]
    assert len({unit.id for unit in again.units}) == 3


def test_a_begun_output_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    open_plan(storage, SETTINGS, resume=False)
    with pytest.raises(OutputError, match="holds the rows of a run: continue it with --resume"):
        open_plan(storage, SETTINGS, resume=False)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (PlanSettings("jsonl", "", "model@1"), "rows in the format parquet, and now it would be jsonl"),
        (PlanSettings("parquet", "image", "model@1"), "of the type either, and now it would be image"),
        (PlanSettings("parquet", "", "model@2"), "scores of model@1, and now it would be model@2"),
    ],
)
def test_an_output_holds_rows_of_one_kind(tmp_path: Path, other: PlanSettings, reason: str) -> None:
    open_plan(LocalStorage(tmp_path), SETTINGS, resume=False)
    with pytest.raises(OutputError, match=reason):
        open_plan(LocalStorage(tmp_path), other, resume=True)


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("rows/mine.csv", b"")
    with pytest.raises(OutputError, match="no output of deepfake-bulk"):
        open_plan(storage, SETTINGS, resume=False)
    storage.write("_plan/settings.json", b'{"version": 9}')
    with pytest.raises(OutputError, match="cannot be read: it is of version 9, not 1"):
        open_plan(storage, SETTINGS, resume=True)
