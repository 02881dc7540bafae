"""Who is in which file, and how it was made: files of the same people are not independent of each other."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset
from evaluation.errors import DatasetError

PEOPLE_FILE = "people.csv"
"""Default name of the table, in the data set's directory."""

METHOD_FILE = "method.csv"
"""Optional table in the data set's directory: how each file was made."""


_MOST_METHODS = 30


def read_people(table: Path) -> dict[str, tuple[str, ...]]:
    """Who is in which file.

    Args:
        table: CSV with the columns `file`, below the data set's directory, and `person`: several are separated by ";".

    Raises:
        DatasetError: It cannot be read, or lacks a column.
    """
    people: dict[str, tuple[str, ...]] = {}
    for file, named in _read_column(table, "person"):
        persons = tuple(name.strip() for name in named.split(";") if name.strip())
        people[file] = tuple(dict.fromkeys(people.get(file, ()) + persons))
    return people


def described(dataset: Dataset, people: Path | None = None) -> Dataset:
    """The data set with the person and the method of each file.

    Persons are those of a table alone. The method is that of `method.csv`, else the first folder below real/ or fake/,
    unless there are more than 30 such folders: they are then no methods.

    Args:
        dataset: The files.
        people: The table; `people.csv` in the data set's directory by default, if it is there.

    Raises:
        DatasetError: A table cannot be read, or names a person's file that is not there.
    """
    directory = dataset.directory
    has_people = people is not None or (directory / PEOPLE_FILE).is_file()
    persons = persons_of(dataset, people) if has_people else {}
    table = directory / METHOD_FILE
    folders = {file.name: parts[1] for file in dataset.files if len(parts := Path(file.name).parts) > 2}
    methods = folders if len(set(folders.values())) <= _MOST_METHODS else {}
    methods |= dict(_read_column(table, "method")) if table.is_file() else {}
    files = (
        replace(file, person=persons.get(file.name, ""), method=methods.get(file.name, "")) for file in dataset.files
    )
    return replace(dataset, files=tuple(files))


def _read_column(table: Path, column: str) -> Iterator[tuple[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"file", column} <= set(reader.fieldnames or ()):
                raise DatasetError(f"{table}: its first line must be a header that names the columns file and {column}")
            for row in reader:
                yield (row["file"] or "").strip().removeprefix("./"), (row[column] or "").strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} cannot be read as CSV in UTF-8: {error}") from error


_SOURCES = {
    "deepfakes", "face2face", "faceswap", "neuraltextures", "faceshifter", "deepfakedetection", "youtube", "actors",
    "originalsequences", "manipulatedsequences", "celebreal", "celebsynthesis", "youtubereal", "raw", "c23", "c40",
    "videos", "images", "frames", "dfdc", "ffhq", "celeba", "stylegan", "stylegan2", "stylegan3", "stablediffusion",
    "midjourney", "gan", "diffusion", "original", "originals", "real", "fake",
}  # fmt: skip
"""Folders of well-known data sets, methods and sources; letters and digits only."""

_IDS = re.compile(r"\d{3}_\d{3}|\d\d_\d\d__.*|id\d+(_id\d+)?_\d{4}")
"""File names that say who is in them: 000_003 of FaceForensics++, id0_id1_0000 of Celeb-DF."""


def people_of_folder(below: tuple[str, ...]) -> tuple[str, ...]:
    """The first folder below real/ or fake/, if there is one: the person where no table names the file.

    Args:
        below: The parts of the file's path below its label's folder.

    Raises:
        DatasetError: The folder is one of a method or a source, which would make one person of many.
    """
    if len(below) < 2:
        return ()
    folder, file = below[0], Path(below[-1]).stem
    plain = re.sub(r"[^a-z0-9]", "", folder.lower())
    if plain in _SOURCES or plain.startswith("dfdctrainpart") or _IDS.fullmatch(file):
        raise DatasetError(
            f"{'/'.join(below)}: the folder {folder} names no person but a method or a source, so all its files would "
            f"be one person's. Say in {PEOPLE_FILE} who is in which file; `deepfake-dataset import` writes it"
        )
    return (folder,)


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


def groups_of(persons: Sequence[str]) -> NDArray[np.intp]:
    """(N,) intp, equal for files of the same people; a file of which nobody is named ("") is a group of its own."""
    keys = [f"person {person}" if person else f"file {at}" for at, person in enumerate(persons)]
    return np.unique(keys, return_inverse=True)[1] if keys else np.zeros(0, np.intp)
