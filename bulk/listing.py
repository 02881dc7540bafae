"""What is to be scored: a directory, a glob pattern, a folder of an object store, or a list of names."""

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pyarrow import fs

from bulk.errors import BulkError
from bulk.stores import file_system, local_path
from deepfake_client.batch.inputs import find_media, read_list, scanned

NAME_COLUMNS = ("file", "path", "uri", "url")
"""Columns that hold the names, in this order; else it is the first column."""


def read_listing(location: str, column: str | None = None) -> list[str]:
    """Reads a listing, or searches a directory as `deepfake-detect` does.

    Args:
        location: A path, pattern or URI: a directory, a folder of a store (its name ends in /), or a list: .csv,
            .parquet, or anything else as text, one name a line or separated by NUL characters.
        column: Where the names are in a CSV or Parquet file; see `NAME_COLUMNS`.

    Returns:
        Absolute paths and URIs, each once, in the order of the listing.

    Raises:
        BulkError: It cannot be read, or it names nothing.
    """
    try:
        names = list(dict.fromkeys(_complete(entry, location) for entry in _entries(location, column)))
        for name in {name.split("/")[2]: name for name in names if local_path(name) is None}.values():
            file_system(name)  # finds out now, and not once for each file, that a store's package is missing
    except (OSError, ValueError, KeyError, ImportError, pa.ArrowException) as error:
        raise BulkError(f"cannot read the listing {location}: {error}") from error
    if not names:
        raise BulkError(f"{location} names no image or video")
    return names


def _entries(location: str, column: str | None) -> list[str]:
    system, path = file_system(location)
    if not location.endswith("/") and system.get_file_info(path).is_file:
        with system.open_input_stream(path, compression=None) as stream:
            return _names_in(stream.read(), Path(path).suffix.lower(), column)
    if local_path(location) is not None:
        found = find_media([path])
        if found == [Path(path)]:
            raise FileNotFoundError("there is no such file or directory")
        return [str(name) for name in found]
    folder, prefix = path.rstrip("/"), location.rstrip("/")
    files = (info.path for info in system.get_file_info(fs.FileSelector(folder, recursive=True)) if info.is_file)
    names = (file[file.index(folder) + len(folder) :] for file in files)
    return sorted(scanned((prefix + name for name in names), location))


def _names_in(content: bytes, suffix: str, column: str | None) -> list[str]:
    if suffix not in (".csv", ".parquet"):
        return read_list(io.BytesIO(content))
    table = (pa.csv.read_csv if suffix == ".csv" else pa.parquet.read_table)(io.BytesIO(content))
    column = column or next(name for name in (*NAME_COLUMNS, *table.column_names) if name in table.column_names)
    names = table[column].to_pylist()
    if not all(isinstance(name, str | bytes) and name.strip() for name in names):
        raise ValueError(f"a row names no file in the column {column}")
    return [os.fsdecode(name) for name in names]


def _complete(name: str, listing: str) -> str:
    """A name that means the same on every machine of the cluster."""
    path = local_path(name)
    if path is None:
        return name
    if local_path(listing) is None and not Path(path).is_absolute():
        raise ValueError(f"it names {name!r}: a listing in a store must hold URIs or absolute paths")
    return str(Path(path).absolute())
