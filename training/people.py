"""Who is in a labelled file: from a table, or from the subfolder it lies in."""

import csv
from collections.abc import Mapping
from pathlib import Path

from evaluation.dataset import Dataset
from training.errors import DatasetError

TABLE = "people.csv"
"""Default name of the table, in the data set's directory."""


def persons_of(dataset: Dataset, table: Path | None = None) -> Mapping[str, str]:
    """The person of each file by the file's name; files of one person are never taken for independent.

    A table has the columns `file` (below the data set's directory) and `person`. Without one the first folder below
    `real/` or `fake/` is the person: `real/anna/1.png` and `fake/anna/2.png` are both of `anna`. Files that neither
    names are not in the answer.

    Args:
        dataset: The files.
        table: The table; `people.csv` in the data set's directory by default, if it is there.

    Raises:
        DatasetError: The table cannot be read, or names a file that is not there.
    """
    default = dataset.directory / TABLE
    if table is None and not default.is_file():
        split = {file.name: Path(file.name).parts for file in dataset.files}
        return {name: parts[1] for name, parts in split.items() if len(parts) > 2}
    return _read(table or default, {file.name for file in dataset.files})


def _read(table: Path, known: set[str]) -> dict[str, str]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} cannot be read: {error}") from error
    if not rows or not {"file", "person"} <= rows[0].keys():
        raise DatasetError(f"{table} needs a header with the columns file and person, and a row for each file")
    persons = {str(row["file"]): str(row["person"] or "") for row in rows}
    if unknown := sorted(persons.keys() - known):
        raise DatasetError(f"{table} names {unknown[0]}, which is no image or video below real/ or fake/")
    return {name: person for name, person in persons.items() if person}
