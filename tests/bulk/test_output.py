import csv
import io
import json
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from bulk.errors import EXIT_CLUSTER, BulkError
from bulk.output import ROW_SCHEMA, Output
from bulk.stores import MediaName
from deepfake_client import create_detector
from deepfake_client.batch.rows import CSV_COLUMNS, CommaSeparated, report_json
from deepfake_client.batch.scoring import FileReport, detect_files
from deepfake_client.command_line.exits import EXIT_NOT_WRITTEN
from tests.bulk.conftest import MODEL_VERSION
from tests.inference_server import InferenceServer


@pytest.fixture
def reports(server: InferenceServer, media: list[str]) -> list[FileReport]:
    with create_detector(server.url) as detector:
        made = list(detect_files(detector, [Path(name) for name in media]))
    odd = FileReport(MediaName("s3://b/\udcff\n\\.jpg"), error_code="MEDIA_NOT_FOUND", error_message="\udcff: no\nfile")
    return [*made, odd]


@pytest.fixture(params=["local", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, store: "fsspec.AbstractFileSystem") -> Output:
    """An empty output on a file system, and in an object store."""
    return Output(str(tmp_path / "out") if request.param == "local" else "memory://bucket/out/")


def names_of(reports: list[FileReport]) -> list[str]:
    return [str(report.path) for report in reports]


def row_files(output: Output) -> list[Path]:
    return sorted(Path(output.location, "rows").iterdir())


def test_rows_have_the_columns_of_the_csv_and_the_metadata_of_the_json_lines(
    output: Output, reports: list[FileReport]
) -> None:
    output.write_rows(reports)
    table = pyarrow.dataset.dataset(f"{output.location}/rows").to_table(use_threads=False)
    assert table.schema.equals(ROW_SCHEMA)
    assert tuple(ROW_SCHEMA.names) == (*CSV_COLUMNS, "metadata")
    written = io.StringIO()
    written.write(CommaSeparated.header)
    for report in reports:
        CommaSeparated().write_row(report, written)
    written.seek(0)
    for row, expected, report in zip(table.to_pylist(), csv.DictReader(written), reports, strict=True):
        metadata = row.pop("metadata")
        assert {key: "" if value is None else str(value) for key, value in row.items()} == expected
        assert (json.loads(metadata) if metadata else None) == report_json(report)["metadata"]


def test_what_has_a_row_is_missing_no_more(anywhere: Output, reports: list[FileReport]) -> None:
    names = names_of(reports)
    anywhere.begin(MODEL_VERSION, resume=False)
    assert anywhere.missing(names) == names
    anywhere.write_rows(reports[5:])
    anywhere.write_rows(reports[5:])
    assert anywhere.missing(names) == names[:5]
    with pytest.raises(BulkError, match=r"0\.jpg has no row.*4\.jpg has no row$") as raised:
        anywhere.finish(MODEL_VERSION, names)
    assert raised.value.exit_code == EXIT_CLUSTER
    anywhere.write_rows(reports[:5])
    manifest = anywhere.finish(MODEL_VERSION, names)
    assert (manifest["files"], manifest["scored"], manifest["set_aside"]) == (11, 7, [])
    assert manifest["failed"] == {"MEDIA_NOT_FOUND": 2, "UNSUPPORTED_MEDIA": 1, "NOTHING_SCORED": 1}


def test_the_manifest_is_there_only_while_all_rows_are(output: Output, reports: list[FileReport]) -> None:
    output.begin(MODEL_VERSION, resume=False)
    output.write_rows(reports)
    manifest = output.finish(MODEL_VERSION, names_of(reports))
    path = Path(output.location, "manifest.json")
    assert json.loads(path.read_bytes()) == manifest
    output.begin(MODEL_VERSION, resume=True)
    assert not path.exists()


def test_a_begun_output_is_not_taken_for_a_new_one(anywhere: Output) -> None:
    begun = anywhere.begin(MODEL_VERSION, resume=True)
    with pytest.raises(BulkError, match="holds the rows of a run: continue it with --resume"):
        anywhere.begin(MODEL_VERSION, resume=False)
    assert anywhere.begin(MODEL_VERSION, resume=True) == begun
    with pytest.raises(BulkError, match=f"holds scores of {MODEL_VERSION}, and model@2 answers now"):
        anywhere.begin("model@2", resume=True)


def _without_last_row(table: pa.Table) -> pa.Table:
    return table.slice(0, len(table) - 1)


def _with_first_row_twice(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table])


def _of_another_model(table: pa.Table) -> pa.Table:
    rows = [{**row, "model_version": row["model_version"] and "other@1"} for row in table.to_pylist()]
    return pa.Table.from_pylist(rows, table.schema)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_last_row, r"9\.jpg has no row"),
        (_with_first_row_twice, r"0\.jpg has 2 rows"),
        (_of_another_model, "there are scores of other@1"),
    ],
)
def test_damaged_rows_are_found(
    output: Output, reports: list[FileReport], damage: Callable[[pa.Table], pa.Table], reason: str
) -> None:
    output.begin(MODEL_VERSION, resume=False)
    output.write_rows(reports[:10])
    (path,) = row_files(output)
    pq.write_table(damage(pq.read_table(path, use_threads=False)), path)
    with pytest.raises(BulkError, match=reason):
        output.finish(MODEL_VERSION, names_of(reports[:10]))


def test_a_torn_row_file_is_named(output: Output, reports: list[FileReport]) -> None:
    output.begin(MODEL_VERSION, resume=False)
    output.write_rows(reports)
    (path,) = row_files(output)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BulkError, match=rf"{path} cannot be read: .*; delete it and use --resume") as raised:
        output.missing(names_of(reports))
    assert raised.value.exit_code == EXIT_CLUSTER


def test_what_a_killed_run_wrote_late_is_taken_away(output: Output, reports: list[FileReport]) -> None:
    """Its unit was cut otherwise, so that its rows repeat those of another unit."""
    names = names_of(reports)
    output.write_rows(reports[:6])
    output.write_rows(reports[4:])
    with pytest.raises(BulkError, match=r"4\.jpg has 2 rows; .*5\.jpg has 2 rows"):
        output.finish(MODEL_VERSION, names)
    left = output.missing(names)
    assert left in (names[:4], names[6:])
    output.write_rows([report for report in reports if str(report.path) in left])
    assert output.finish(MODEL_VERSION, names)["files"] == 11


def test_units_with_a_failure_are_scored_again_and_no_others(output: Output, reports: list[FileReport]) -> None:
    names = names_of(reports)
    output.write_rows(reports[:5])
    output.write_rows(reports[5:])
    assert output.missing(names, {"WORKER_LOST", "OVERLOADED"}) == []
    assert output.missing(names, {"UNSUPPORTED_MEDIA", "WORKER_LOST"}) == names[:5]


def test_units_written_at_the_same_time_leave_whole_rows(output: Output, reports: list[FileReport]) -> None:
    threads = [threading.Thread(target=output.write_rows, args=(reports,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert output.missing(names_of(reports)) == []
    assert [path.suffix for path in row_files(output)] == [".parquet"]


def test_a_write_that_fails_half_way_changes_nothing(output: Output, reports: list[FileReport]) -> None:
    output.write_rows(reports)
    (path,) = row_files(output)
    before = path.read_bytes()

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(BulkError, match=r"cannot write .*\.parquet: .*File too large") as raised:
            output.write_rows(reports)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.exit_code == EXIT_NOT_WRITTEN
    assert path.read_bytes() == before
    assert output.missing(names_of(reports)) == []


@pytest.mark.parametrize("location", ["http://host/folder", "hdfs://name/folder", "ftp://host/folder"])
def test_a_store_that_can_show_half_of_a_file_is_no_output(location: str) -> None:
    with pytest.raises(BulkError, match="give a directory or a folder of an object store"):
        Output(location)
