"""The rows of a unit as one file: the rows of `deepfake-detect`, as JSON lines or as Parquet."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deepfake_client.batch.rows import CSV_COLUMNS, JsonLines, escaped, flat_row, report_json
from deepfake_client.batch.scoring import FileReport

ROWS_FOLDER = "rows"

_NUMBERS = {
    "confidence_score": pa.float64(),
    "video_score": pa.float64(),
    "peak_risk": pa.float64(),
    "mean_risk": pa.float64(),
    "temporal_consistency": pa.float64(),
    "risk_score": pa.float64(),
    "confidence": pa.float64(),
    "frames_analyzed": pa.int32(),
    "frames_failed": pa.int32(),
    "faces_detected": pa.int32(),
    "processing_time_seconds": pa.float64(),
}

SCHEMA = pa.schema(
    [pa.field(name, _NUMBERS.get(name, pa.string())) for name in CSV_COLUMNS] + [pa.field("metadata", pa.string())]
)
"""Columns of a Parquet shard: those of `deepfake-detect`'s CSV, and its JSON lines' `metadata` as JSON text."""


class ShardFormat(StrEnum):
    """How rows are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


@dataclass(frozen=True)
class ShardRow:
    """What the check and the tally read of a row.

    Attributes:
        file: As `file_name` writes it.
        error_code: "" for a file that was scored.
        model_version: "" for a file that was not.
    """

    file: str
    error_code: str
    model_version: str


def shard_name(unit_id: str, format_: ShardFormat) -> str:
    """Where the rows of a unit are, below the output folder."""
    return f"{ROWS_FOLDER}/{unit_id}.{format_}"


def file_name(name: str, format_: ShardFormat) -> str:
    """A name of the listing as a row has it; Parquet holds valid text only, so it is written as in CSV."""
    return name if format_ is ShardFormat.JSONL else escaped(name)


def encode_shard(reports: Sequence[FileReport], format_: ShardFormat) -> bytes:
    """The rows of the reports, in their order, as a file's content."""
    return _ENCODERS[format_](reports)


def decode_shard(content: bytes, format_: ShardFormat) -> list[ShardRow]:
    """The rows of a shard.

    Raises:
        ValueError, KeyError, TypeError, pa.ArrowException: It is something else.
    """
    return _DECODERS[format_](content)


def _encode_jsonl(reports: Sequence[FileReport]) -> bytes:
    stream, format_ = io.StringIO(), JsonLines()
    for report in reports:
        format_.write_row(report, stream)
    return stream.getvalue().encode("ascii")


def _encode_parquet(reports: Sequence[FileReport]) -> bytes:
    stream = io.BytesIO()
    table = pa.Table.from_pylist([_parquet_row(report) for report in reports], schema=SCHEMA)
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def _parquet_row(report: FileReport) -> dict[str, Any]:
    metadata = report_json(report)["metadata"]
    return {**flat_row(report), "metadata": None if metadata is None else json.dumps(metadata, allow_nan=False)}


def _decode_jsonl(content: bytes) -> list[ShardRow]:
    rows = [json.loads(line) for line in content.decode("ascii").splitlines()]
    return [ShardRow(row["file"], (row["error"] or {"code": ""})["code"], row["model_version"] or "") for row in rows]


def _decode_parquet(content: bytes) -> list[ShardRow]:
    # Without Arrow's own threads: of no use to a file this small, and a check that had some once aborted at its end.
    file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)
    table = file.read(["file", "error_code", "model_version"], use_threads=False)
    return [ShardRow(row["file"], row["error_code"] or "", row["model_version"] or "") for row in table.to_pylist()]


_ENCODERS: dict[ShardFormat, Callable[[Sequence[FileReport]], bytes]] = {
    ShardFormat.JSONL: _encode_jsonl,
    ShardFormat.PARQUET: _encode_parquet,
}
_DECODERS: dict[ShardFormat, Callable[[bytes], list[ShardRow]]] = {
    ShardFormat.JSONL: _decode_jsonl,
    ShardFormat.PARQUET: _decode_parquet,
}
