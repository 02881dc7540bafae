"""Writes the training data: links to the files and tables of people and methods, or one list."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepfake_client.plain_text import csv_cell
from evaluation.people import METHOD_FILE, PEOPLE_FILE
from training.datasets.items import Item, Part
from training.errors import DatasetError
from training.writing import whole_folder

LIST_NAME = "files.csv"


def place_of(item: Item, part: Part) -> str:
    """Where a file is in the training data."""
    return f"{part}/{item.label.value}/{item.method}/{item.name}"


def write_links(chosen: Sequence[tuple[Item, Part]], output: Path) -> None:
    """Writes a folder of symbolic links as `deepfake-train` takes it.

    people.csv and method.csv of train/ and val/ lie in the folder, those of test/ in test/, as `deepfake-evaluate` and
    `deepfake-calibrate` take them.

    Raises:
        DatasetError: Two files would have one place.
        TrainingError: The folder cannot be written.
    """
    places = [place_of(item, part) for item, part in chosen]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise DatasetError(f"two files would be {twice}")
    with whole_folder(output) as folder:
        for (item, _), place in zip(chosen, places, strict=True):
            link = folder / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(item.path.resolve())
        for prefix in ("", "test/"):
            rows = [
                (place.removeprefix(prefix), item)
                for (item, part), place in zip(chosen, places, strict=True)
                if (part == "test") == bool(prefix)
            ]
            if rows:
                people = ((place, ";".join(item.people)) for place, item in rows)
                _write_csv(folder / prefix / PEOPLE_FILE, ("file", "person"), people)
                methods = ((place, item.method) for place, item in rows)
                _write_csv(folder / prefix / METHOD_FILE, ("file", "method"), methods)


def write_list(chosen: Sequence[tuple[Item, Part]], output: Path) -> None:
    """Writes files.csv alone: source, file (its place in the training data), part, label, method, person."""
    with whole_folder(output) as folder:
        rows = (
            (str(item.path.resolve()), place_of(item, part), part, item.label.value, item.method, ";".join(item.people))
            for item, part in chosen
        )
        _write_csv(folder / LIST_NAME, ("source", "file", "part", "label", "method", "person"), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([header, *([csv_cell(value) for value in row] for row in rows)])
