"""The labelled files of a folder, train/{real,fake} and val/{real,fake}, and which of them show the same people."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepfake_client.batch.inputs import find_media
from evaluation.dataset import UNREADABLE, Label, file_sha256
from evaluation.errors import EvaluationError
from evaluation.people import PEOPLE_FILE, people_of_folder, read_people
from training.errors import DatasetError

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
    try:
        people = read_people(table) if table.is_file() else {}
    except EvaluationError as error:
        raise DatasetError(str(error)) from error
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


def _files_of(data_dir: Path, part: Part, people: dict[str, tuple[str, ...]]) -> Iterator[MediaFile]:
    for label in Label:
        folder = data_dir / part / label
        if not folder.is_dir():
            continue
        for path in sorted(find_media([str(folder)])):
            name = path.relative_to(data_dir).as_posix()
            below = path.relative_to(folder).parts
            named = people.get(name) or _folder_as_person(below)
            yield MediaFile(path, name, label, part, named, file_sha256(path))


def _folder_as_person(below: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return people_of_folder(below)
    except EvaluationError as error:
        raise DatasetError(str(error)) from error


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
