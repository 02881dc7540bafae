"""The labelled files of a folder, train/{real,fake} and val/{real,fake}, and which of them show the same people."""

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from deepfake_client.batch.inputs import find_media
from evaluation.dataset import UNREADABLE, Dataset, Label, file_sha256
from training.errors import DatasetError

PEOPLE_FILE = "people.csv"
"""Default name of the table, in the data set's directory."""

log = logging.getLogger("training")


class Part(StrEnum):
    """A side of the split: the name of the folder that fixes it."""

    TRAIN = "train"
    VALIDATION = "val"


@dataclass(frozen=True)
class MediaFile:
    """A labelled file.

    Attributes:
        path: Where it lies.
        name: Its path below the data directory, with forward slashes.
        label: What it is.
        part: The folder it lies in.
        people: Who is in it, as people.csv or the subfolder says; empty where neither does.
        sha256: SHA-256 of its content, hexadecimal; `UNREADABLE` where it cannot be read.
    """

    path: Path
    name: str
    label: Label
    part: Part
    people: tuple[str, ...]
    sha256: str


def find_media_files(data_dir: Path, one_class_suffices: bool) -> list[MediaFile]:
    """The images and videos of the folder, by name.

    Args:
        data_dir: The folder.
        one_class_suffices: fake/ may be missing or empty.

    Raises:
        DatasetError: A folder is missing or empty, or people.csv cannot be used.
    """
    if not data_dir.is_dir():
        raise DatasetError(f"{data_dir} is no directory; it should hold train/real and train/fake")
    if (data_dir / "test").exists():
        log.info("%s is left alone: it is for `deepfake-evaluate`, after training", data_dir / "test")
    table = data_dir / PEOPLE_FILE
    people = read_people(table) if table.is_file() else {}
    files = list(_files_of(data_dir, Part.TRAIN, people))
    _refuse_missing_class(data_dir / Part.TRAIN, files, one_class_suffices)
    if (data_dir / Part.VALIDATION).is_dir():
        validation = list(_files_of(data_dir, Part.VALIDATION, people))
        _refuse_missing_class(data_dir / Part.VALIDATION, validation, one_class_suffices)
        files += validation
    _refuse_contradictions(files)
    if unknown := sorted(people.keys() - {file.name for file in files}):
        log.warning("%s names %d files that are not there, such as %s", PEOPLE_FILE, len(unknown), unknown[0])
    return files


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


def _files_of(data_dir: Path, part: Part, people: dict[str, tuple[str, ...]]) -> Iterator[MediaFile]:
    for label in Label:
        folder = data_dir / part / label
        if not folder.is_dir():
            continue
        for path in sorted(find_media([str(folder)])):
            name = path.relative_to(data_dir).as_posix()
            below = path.relative_to(folder).parts
            named = people.get(name) or people_of_folder(below)
            yield MediaFile(path, name, label, part, named, file_sha256(path))


def _refuse_missing_class(folder: Path, files: list[MediaFile], one_class_suffices: bool) -> None:
    there = {file.label for file in files}
    needed = [Label.REAL] if one_class_suffices else list(Label)
    if missing := [label for label in needed if label not in there]:
        advice = "" if one_class_suffices else "; with --self-blend fakes are made out of the real ones"
        raise DatasetError(
            f"there is no image or video in {' and '.join(str(folder / label) for label in missing)}: "
            f"put files of each class into {folder}/real and {folder}/fake{advice}"
        )


def _refuse_contradictions(files: list[MediaFile]) -> None:
    readable = [file for file in files if file.sha256 != UNREADABLE]
    real, fake = ({file.sha256: file.name for file in readable if file.label is label} for label in Label)
    if both := sorted(real.keys() & fake.keys(), key=real.__getitem__):
        first = both[0]
        raise DatasetError(
            f"{len(both)} contents are both real and fake, such as {real[first]} and {fake[first]}: remove one of each"
        )
