"""Who is in which file: files of the same people are not independent of each other."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evaluation.dataset import Dataset
from evaluation.errors import DatasetError

PEOPLE_FILE = "people.csv"
"""Default name of the table, in the data set's directory."""


def read_people(table: Path) -> dict[str, tuple[str, ...]]:
    """Who is in which file.

    Args:
        table: CSV with the columns `file`, below the data set's directory, and `person`: several are separated by ";".

    Raises:
        DatasetError: It cannot be read, or lacks a column.
    """
    people: dict[str, tuple[str, ...]] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"file", "person"} <= set(reader.fieldnames or ()):
                raise DatasetError(f"{table}: its first line must be a header that names the columns file and person")
            for row in reader:
                persons = tuple(name.strip() for name in (row["person"] or "").split(";") if name.strip())
                file = (row["file"] or "").strip().removeprefix("./")
                people[file] = tuple(dict.fromkeys(people.get(file, ()) + persons))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} cannot be read as CSV in UTF-8: {error}") from error
    return people


def people_of_folder(below: tuple[str, ...]) -> tuple[str, ...]:
    """The first folder below real/ or fake/, if there is one: the person where no table names the file.

    Args:
        below: The parts of the file's path below its label's folder.
    """
    return below[:1] if len(below) > 1 else ()


def persons_of(dataset: Dataset, table: Path | None = None) -> Mapping[str, str]:
    """One name for the people of each file: files of the same people are not independent of each other.

    People who are in one file together count as one person in all files. Files that nothing names are left out.

    Args:
        dataset: The files.
        table: The table; `people.csv` in the data set's directory by default, if it is there.

    Raises:
        DatasetError: The table cannot be read, or names a file that is not there.
    """
    default = dataset.directory / PEOPLE_FILE
    if table is None and not default.is_file():
        named = {file.name: people_of_folder(Path(file.name).parts[1:]) for file in dataset.files}
    else:
        named = read_people(table or default)
        if unknown := sorted(named.keys() - {file.name for file in dataset.files}):
            raise DatasetError(
                f"{table or default} names {unknown[0]}, which is no image or video below real/ or fake/"
            )
    people = {name: persons for name, persons in named.items() if persons}
    groups = group([list(persons) for persons in people.values()])
    first: dict[int, str] = {}
    for number, persons in zip(groups, people.values(), strict=True):
        first.setdefault(number, persons[0])
    return {name: first[number] for name, number in zip(people, groups, strict=True)}


def group(links: Sequence[Sequence[str]]) -> list[int]:
    """Numbers the connected components of files that share a link.

    Args:
        links: For each file what it is linked by, such as `person:anna` or `content:9f86d0...`; none: on its own.

    Returns:
        For each file the number of its group, from 0.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(name for file in links for name in file))}
    pairs = [(file, len(links) + names[name]) for file, own in enumerate(links) for name in own]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    size = len(links) + len(names)
    from scipy.sparse import coo_array  # only where persons are told apart: --help does without
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(component), len(numbers)) for component in components[: len(links)]]
