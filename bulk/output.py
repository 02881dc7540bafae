"""The output folder: the rows that are there, those that are missing, and the proof that each file has exactly one."""

import contextlib
import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from bulk.errors import EXIT_CLUSTER, BulkError
from bulk.stores import file_system
from deepfake_client.batch.rows import CSV_COLUMNS, flat_row, report_json
from deepfake_client.batch.scoring import FileReport
from deepfake_client.command_line.exits import EXIT_NOT_WRITTEN
from deepfake_client.plain_text import escaped

WORKER_LOST = "WORKER_LOST"
"""Error code of a file whose process dies whenever it scores this file alone."""

_SETTINGS, _MANIFEST, _ROWS = "settings.json", "manifest.json", "rows"
_FLOATS = ("confidence_score", "video_score", "peak_risk", "mean_risk", "temporal_consistency", "risk_score",
           "confidence", "processing_time_seconds")  # fmt: skip
_INTEGERS = ("frames_analyzed", "frames_failed", "faces_detected", "people")
_TYPES = dict.fromkeys(_FLOATS, pa.float64()) | dict.fromkeys(_INTEGERS, pa.int32()) | {"assessable": pa.bool_()}
ROW_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in (*CSV_COLUMNS, "metadata")])
"""Columns of the rows: those of `deepfake-detect`'s CSV, and `metadata` as JSON text."""

_STORES = ("s3://", "gs://", "abfs://", "abfss://", "az://", "memory://", "file://")
"""Where an object appears when its upload is complete; files are renamed when they are."""

_READERS = 16
_MOST_SHOWN = 5


@dataclass(frozen=True)
class OutputSettings:
    """What all rows of an output have in common.

    Attributes:
        model_version: The model that scores them.
        id: Made up once, so that a worker can tell that it sees this folder and no other of the same name.
    """

    model_version: str
    id: str


class Output:
    """An output folder. Every method raises BulkError where the folder cannot be read or written."""

    def __init__(self, location: str) -> None:
        """Opens a folder, which need not exist; `location` is a path, or a URI of an object store."""
        if "://" in location and not location.lower().startswith(_STORES):
            raise BulkError(f"cannot write to {location}: give a directory or a folder of an object store")
        try:
            self._system, root = file_system(location)
        except (OSError, ValueError, ImportError) as error:
            raise BulkError(f"cannot write to {location}: {error}") from error
        self._root = root.rstrip("/")
        self._is_local = isinstance(self._system, fs.LocalFileSystem)
        self.location = self._root if self._is_local else location

    def settings(self) -> OutputSettings | None:
        """What its rows have in common, None where nothing has begun."""
        with self._reading(_SETTINGS) as path:
            try:
                return OutputSettings(**json.loads(self._system.open_input_stream(path).read()))
            except FileNotFoundError:
                return None

    def begin(self, model_version: str, resume: bool) -> OutputSettings:
        """Begins an output, or continues the one that is there if the same model answers."""
        there = self.settings()
        if there is not None and not resume:
            raise BulkError(f"{self.location} holds the rows of a run: continue it with --resume, or give another")
        if there is not None and there.model_version != model_version:
            raise BulkError(f"{self.location} holds scores of {there.model_version}, and {model_version} answers now: "
                            "serve the first one again, or score everything into another folder")  # fmt: skip
        if there is None:
            there = OutputSettings(model_version, uuid.uuid4().hex)
            self._write(_SETTINGS, json.dumps(asdict(there)).encode())
        self._delete(_MANIFEST)
        return there

    def missing(self, names: Sequence[str], again: Collection[str] = ()) -> list[str]:
        """The files that have no row, in their order.

        Row files in which a file failed with a code of `again` are deleted first, and so are those that repeat a row: a
        process of a run that was killed wrote them after the next run had begun.
        """
        there: set[str] = set()
        for name, rows in self._rows():
            if any(row["error_code"] in again or row["file"] in there for row in rows):
                self._delete(name)
            else:
                there.update(row["file"] for row in rows)
        return [name for name in names if escaped(name) not in there]

    def write_rows(self, reports: Sequence[FileReport]) -> None:
        """Writes the rows of some files in one step. The same files give the same name: a second write replaces."""
        names = b"\0".join(os.fsencode(report.path) for report in reports)
        stream = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([_row(report) for report in reports], ROW_SCHEMA), stream)
        self._write(f"{_ROWS}/{hashlib.sha256(names).hexdigest()[:32]}.parquet", stream.getvalue())

    def finish(self, model_version: str, names: Sequence[str]) -> dict[str, Any]:
        """Reads all rows, proves that each file of a listing has exactly one, and writes and returns the manifest.

        Raises:
            BulkError: A file has no row or several, or another model's; the message names what is wrong.
        """
        listed = {escaped(name) for name in names}
        rows = [row for _, rows in self._rows() for row in rows]
        counts = Counter(row["file"] for row in rows)
        others = {row["model_version"] for row in rows} - {escaped(model_version), None}
        problems = [
            *(f"{name} has no row" for name in sorted(listed - counts.keys())),
            *(f"{name} has {count} rows" for name, count in counts.items() if count > 1),
            *(f"there are scores of {other}" for other in sorted(others)),
        ]
        if problems:
            more = f" and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
            raise BulkError(f"{self.location}: {'; '.join(problems[:_MOST_SHOWN])}{more}", EXIT_CLUSTER)
        failed = {row["file"]: row["error_code"] for row in rows if row["file"] in listed and row["error_code"]}
        manifest = {
            "model_version": model_version,
            "files": len(listed),
            "scored": len(listed) - len(failed),
            "failed": Counter(failed.values()),
            "set_aside": [name for name, code in failed.items() if code == WORKER_LOST],
        }
        self._write(_MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
        return manifest

    def _rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The rows of each row file, under its name."""

        def read(name: str) -> tuple[str, list[dict[str, Any]]]:
            with self._reading(name) as path:
                # Without Arrow's own threads: a process that had used them once aborted at its end.
                file = pq.ParquetFile(path, filesystem=self._system, pre_buffer=False)
                return name, file.read(["file", "error_code", "model_version"], use_threads=False).to_pylist()

        with self._reading(_ROWS) as folder:
            found = self._system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
            names = sorted(f"{_ROWS}/{info.base_name}" for info in found if info.extension == "parquet")
        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(read, names)

    def _write(self, name: str, content: bytes) -> None:
        """Gives the name this content in one step, instead of any that it had."""
        path = f"{self._root}/{name}"
        begun = f"{path}.{uuid.uuid4().hex}" if self._is_local else path
        try:
            if self._is_local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            with self._system.open_output_stream(begun) as stream:
                stream.write(content)
            if self._is_local:
                Path(begun).replace(path)
        except OSError as error:
            raise BulkError(f"cannot write {self.location}/{name}: {error}", EXIT_NOT_WRITTEN) from error

    def _delete(self, name: str) -> None:
        with self._reading(name) as path, contextlib.suppress(FileNotFoundError):
            self._system.delete_file(path)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[str]:
        try:
            yield f"{self._root}/{name}"
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            hint = "; delete it and use --resume" if name.startswith(f"{_ROWS}/") else ""
            raise BulkError(f"{self.location}/{name} cannot be read: {error}{hint}", EXIT_CLUSTER) from error


def _row(report: FileReport) -> dict[str, Any]:
    metadata = report_json(report)["metadata"]
    return {**flat_row(report), "metadata": None if metadata is None else json.dumps(metadata, allow_nan=False)}
