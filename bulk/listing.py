"""What is to be scored: a directory, a folder of an object store, or a list of names as text, CSV or Parquet."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deepfake_client.batch.media_files import SCANNED_SUFFIXES, find_media, read_list
from pyarrow import fs

from bulk.errors import ListingError
from bulk.filesystems import local_path, remote

NAME_COLUMNS = ("file", "path", "uri", "url")
"""Columns that hold the names, in this order, where none is given."""


@dataclass(frozen=True)
class Listing:
    """The files to score.

    Attributes:
        names: Absolute paths and URIs, each once, in the order of the listing.
        repeated: How many entries named a file that an earlier one had named.
    """

    names: tuple[str, ...]
    repeated: int


def read_listing(location: str, column: str | None = None) -> Listing:
    """Reads a listing, or scans a directory as `deepfake-detect` does.

    Args:
        location: A path or URI: a directory, a folder (its name ends in /), or a file: .csv, .parquet, or anything
            else as text, one name a line or separated by NUL characters.
        column: Where the names are in a CSV or Parquet file; the first of `NAME_COLUMNS`, or the only one, if None.

    Raises:
        ListingError: It cannot be read, or it names nothing.
    """
    path = local_path(location)
    try:
        entries = list(_remote_entries(location, column) if path is None else _local_entries(Path(path), column))
    except (OSError, ValueError, pa.ArrowException, csv.Error) as error:
        raise ListingError(f"cannot read the listing {location}: {error}") from error
    names = tuple(dict.fromkeys(_complete(entry, location) for entry in entries))
    if not names:
        raise ListingError(f"{location} names no image or video")
    _refuse_unknown_stores(names)
    return Listing(names, len(entries) - len(names))


def common_folder(names: Iterable[str]) -> str | None:
    """The deepest directory that holds every local name, None where there is no local one."""
    folders = {os.path.dirname(path) for name in names if (path := local_path(name)) is not None}  # noqa: PTH120
    return os.path.commonpath(folders) if folders else None


def _local_entries(path: Path, column: str | None) -> Iterable[str]:
    if path.is_dir():
        return (str(found) for found in find_media([str(path.absolute())]))
    return _names_in(path.read_bytes(), path.suffix, column)


def _remote_entries(location: str, column: str | None) -> Iterable[str]:
    system, path = remote(location)
    if not location.endswith("/") and system.get_file_info(path).type is fs.FileType.File:
        with system.open_input_stream(path) as stream:
            return _names_in(stream.read(), Path(path).suffix, column)
    folder = path.rstrip("/")
    files = system.get_file_info(fs.FileSelector(folder, recursive=True))
    prefix = location.rstrip("/")
    return sorted(
        prefix + info.path[info.path.index(folder) + len(folder) :]
        for info in files
        if info.type is fs.FileType.File and Path(info.path).suffix.lower() in SCANNED_SUFFIXES
    )


def _names_in(content: bytes, suffix: str, column: str | None) -> Iterable[str]:
    if suffix.lower() == ".csv":
        return _csv_names(content, column)
    if suffix.lower() == ".parquet":
        return _parquet_names(content, column)
    return read_list(io.BytesIO(content))


def _csv_names(content: bytes, column: str | None) -> Iterator[str]:
    reader = csv.reader(io.StringIO(os.fsdecode(content), newline=""), strict=True)
    header = next(reader, [])
    position = header.index(_column_of(header, column))
    for row in reader:
        if row:
            if len(row) <= position or not row[position].strip():
                raise ListingError(f"line {reader.line_num} of the listing names no file")
            yield row[position]


def _parquet_names(content: bytes, column: str | None) -> list[str]:
    file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)
    values = file.read([_column_of(file.schema_arrow.names, column)], use_threads=False).column(0).to_pylist()
    if not all(isinstance(value, str | bytes) and value for value in values):
        raise ListingError("a row of the listing names no file, or its column holds no text")
    return [os.fsdecode(value) for value in values]


def _column_of(columns: list[str], asked: str | None) -> str:
    wanted = (asked,) if asked else NAME_COLUMNS
    found = next((name for name in wanted if name in columns), None)
    if found is None and asked is None and len(columns) == 1:
        return columns[0]
    if found is None:
        raise ListingError(f"the listing has no column {' or '.join(wanted)} but {', '.join(columns)}: give --column")
    return found


def _complete(name: str, listing: str) -> str:
    """A name that means the same on every machine of the cluster."""
    path = local_path(name)
    if path is None:
        return name
    if not os.path.isabs(path) and local_path(listing) is None:  # noqa: PTH117
        raise ListingError(f"{listing} names {name!r}: a listing in a store must hold URIs or absolute paths")
    return str(Path(path).absolute())


def _refuse_unknown_stores(names: Iterable[str]) -> None:
    """Finds out now, not once for every file, that a store's package is missing."""
    stores = {"/".join(name.split("/", 3)[:3]): name for name in names if local_path(name) is None}
    for name in stores.values():
        try:
            remote(name)
        except (ValueError, OSError) as error:
            raise ListingError(f"cannot read {name}: {error}") from error
