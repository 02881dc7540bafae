import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deepfake_client import create_detector
from deepfake_client.batch.rows import CSV_COLUMNS, CommaSeparated, report_json
from deepfake_client.batch.scoring import FileReport, detect_files

from bulk.media import MediaUri
from bulk.shards import SCHEMA, ShardFormat, ShardRow, decode_shard, encode_shard, file_name
from tests.inference_server import InferenceServer


@pytest.fixture
def reports(server: InferenceServer, media: list[str]) -> list[FileReport]:
    with create_detector(server.url) as detector:
        made = list(detect_files(detector, [Path(name) for name in media]))
    odd = FileReport(MediaUri("s3://b/\udcff\n\\.jpg"), error_code="MEDIA_NOT_FOUND", error_message="\udcff: no\nfile")
    return [*made, odd]


def test_parquet_has_the_columns_of_the_csv_and_the_metadata_of_the_json_lines(reports: list[FileReport]) -> None:
    table = pq.read_table(pa.BufferReader(encode_shard(reports, ShardFormat.PARQUET)))
    assert table.schema.equals(SCHEMA)
    assert tuple(SCHEMA.names) == (*CSV_COLUMNS, "metadata")
    written = io.StringIO()
    CommaSeparated().write_header(written)
    for report in reports:
        CommaSeparated().write_row(report, written)
    written.seek(0)
    for row, expected, report in zip(table.to_pylist(), csv.DictReader(written), reports, strict=True):
        metadata = row.pop("metadata")
        assert {key: _as_csv(value) for key, value in row.items()} == expected
        assert (json.loads(metadata) if metadata else None) == report_json(report)["metadata"]


def _as_csv(value: Any) -> str:
    return "" if value is None else str(value)


@pytest.mark.parametrize("format_", list(ShardFormat))
def test_what_the_check_reads_is_what_was_written(reports: list[FileReport], format_: ShardFormat) -> None:
    rows = decode_shard(encode_shard(reports, format_), format_)
    assert rows == [
        ShardRow(
            file_name(str(report.path), format_),
            report.error_code,
            report.output.model_version if report.output else "",
        )
        for report in reports
    ]
