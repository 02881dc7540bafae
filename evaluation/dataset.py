"""The labelled files of a directory: `real/` and `fake/`, and one digest that names exactly this set."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepfake_client.batch.inputs import find_media
from evaluation.errors import DatasetError

UNREADABLE = "unreadable"
"""In place of the SHA-256 of a file that cannot be read."""


class Label(StrEnum):
    """The truth about a file: the name of the folder it lies in."""

    REAL = "real"
    FAKE = "fake"


@dataclass(frozen=True)
class LabelledFile:
    """A file of the data set.

    Attributes:
        path: Where it lies.
        name: Its path below the data set's directory, with forward slashes.
        label: What it is.
        sha256: SHA-256 of its content, hexadecimal; `UNREADABLE` where it cannot be read.
        person: Who is in it; people who are in one file together have one name in all files. "" where nothing says.
        method: How it was made, such as the name of a generator or of a source of real files; "" where nothing says.
    """

    path: Path
    name: str
    label: Label
    sha256: str
    person: str = ""
    method: str = ""


@dataclass(frozen=True)
class Dataset:
    """The files in the order real, fake, each by name."""

    directory: Path
    files: tuple[LabelledFile, ...]

    def count(self, label: Label) -> int:
        """Number of files of a class."""
        return sum(file.label is label for file in self.files)

    @property
    def digest(self) -> str:
        r"""SHA-256 over the sorted lines "<sha256 of the file> <label>\n": the same for the same content and labels.

        Names and places of the files do not enter.
        """
        lines = sorted(f"{file.sha256} {file.label}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def duplicates(self) -> int:
        """Files whose content another file of the same class has already."""
        seen = Counter((file.sha256, file.label) for file in self.files if file.sha256 != UNREADABLE)
        return sum(count - 1 for count in seen.values())

    @property
    def contradictions(self) -> int:
        """Contents that lie in both folders."""
        labels = [{f.sha256 for f in self.files if f.label is label and f.sha256 != UNREADABLE} for label in Label]
        return len(labels[0] & labels[1])


def find_dataset(directory: Path) -> Dataset:
    """The images and videos below `real/` and `fake/`, searched recursively as the client searches directories.

    Raises:
        DatasetError: The directory or one of the two folders is not there, or holds no file with a suffix of an image
            or a video.
    """
    if not directory.is_dir():
        raise DatasetError(f"{directory} is no directory")
    folders = {label: directory / label.value for label in Label}
    missing = [f"{folder.name}/" for folder in folders.values() if not folder.is_dir()]
    if missing:
        raise DatasetError(f"{directory} has no folder {' and no folder '.join(missing)}; it needs real/ and fake/")
    found = {label: find_media([str(folder)]) for label, folder in folders.items()}
    empty = [f"{folders[label]}" for label, paths in found.items() if not paths]
    if empty:
        raise DatasetError(f"there is no image or video in {' and '.join(empty)}")
    files = tuple(
        LabelledFile(path, path.relative_to(directory).as_posix(), label, file_sha256(path))
        for label in Label
        for path in sorted(found[label])
    )
    return Dataset(directory, files)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal; `UNREADABLE` where it cannot be read."""
    if not path.is_file():
        return UNREADABLE
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return UNREADABLE
