"""Reads the layouts of FaceForensics++, Celeb-DF and DFDC, and folders whose levels are named."""

import json
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from deepfake_client.batch.inputs import find_media
from evaluation.dataset import Label
from training.datasets.items import Item, Part
from training.errors import DatasetError

LEVELS = ("method", "person", "-")
"""What a folder level of the layout `folder` may be; `-` says nothing."""

_PAIR = re.compile(r"^([a-z]*\d+)_([a-z]*\d+)$", re.IGNORECASE)


def read_faceforensics(source: Path, compression: str = "") -> list[Item]:
    """FaceForensics++ (Rössler et al., ICCV 2019) with its DeepFakeDetection part, as its download script writes it.

    `original_sequences/SOURCE/COMPRESSION/videos/000.mp4` and
    `manipulated_sequences/METHOD/COMPRESSION/videos/000_003.mp4`: the face of 003 on the head of 000. The official
    split is read from train.json, val.json and test.json in the folder itself or in `splits/`.

    Args:
        source: The folder.
        compression: raw, c23 or c40; may be left out where there is only one.

    Raises:
        DatasetError: It has another layout, or several compressions of which none is named.
    """
    found: dict[str, list[tuple[Label, str, Path]]] = {}
    for label, top in ((Label.REAL, "original_sequences"), (Label.FAKE, "manipulated_sequences")):
        for videos in sorted(source.glob(f"{top}/*/*/videos")):
            method, rate = videos.parts[-3:-1]
            found.setdefault(rate, []).extend((label, method, path) for path in find_media([str(videos)]))
    if not found:
        raise DatasetError(f"{source} has no original_sequences/SOURCE/COMPRESSION/videos as FaceForensics++ has")
    if compression not in found and (compression or len(found) > 1):
        raise DatasetError(f"{source} has {', '.join(sorted(found))}: give one of them as --compression")
    parts = _official_pairs(source)
    return [
        Item(path, path.name, label, method, people, parts.get(people[0]))
        for label, method, path in found[compression or next(iter(found))]
        for people in [_people_of_faceforensics(path.stem)]
    ]


def _people_of_faceforensics(stem: str) -> tuple[str, ...]:
    """000 and 000_003 are people of the YouTube videos, 01__scene and 01_02__scene__CODE actors."""
    people, scene, _ = stem.partition("__")
    return tuple(f"{'actor' if scene else 'youtube'}-{number}" for number in people.split("_"))


def _official_pairs(source: Path) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    names: tuple[Part, ...] = ("train", "val", "test")
    for part in names:
        for file in (source / f"{part}.json", source / "splits" / f"{part}.json"):
            if file.is_file():
                parts |= {f"youtube-{number}": part for number in chain.from_iterable(_json(file))}
    return parts


def read_celebdf(source: Path) -> list[Item]:
    """Celeb-DF v1 and v2 (Li et al., CVPR 2020): `Celeb-real/id0_0000.mp4`, `Celeb-synthesis/id0_id1_0000.mp4`.

    The files of `List_of_testing_videos.txt` are the test part.

    Raises:
        DatasetError: It has another layout.
    """
    listed = source / "List_of_testing_videos.txt"
    lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    tested = {line.split()[-1] for line in lines if line.strip()}
    items = []
    for folder, label in (("Celeb-real", Label.REAL), ("YouTube-real", Label.REAL), ("Celeb-synthesis", Label.FAKE)):
        for path in find_media([str(source / folder)]) if (source / folder).is_dir() else []:
            ids = [part for part in path.stem.split("_") if part.startswith("id")]
            people = tuple(f"celeb-{one}" for one in ids) or (f"youtube-{path.stem}",)
            part: Part | None = "test" if f"{folder}/{path.name}" in tested else None
            items.append(Item(path, path.name, label, folder, people, part))
    if not items:
        raise DatasetError(f"{source} has no Celeb-real, YouTube-real and Celeb-synthesis as Celeb-DF has")
    return items


def read_dfdc(source: Path) -> list[Item]:
    """DFDC (Dolhansky et al., 2020): folders with a `metadata.json` that names each file's label and original.

    It does not say who is in a video. A fake and its original count as one person; so an actor can be in several.

    Raises:
        DatasetError: It has no such folder, or a metadata.json cannot be read.
    """
    items = []
    for table in sorted([*source.glob("metadata.json"), *source.glob("*/metadata.json")]):
        for name, said in sorted(_json(table).items()):
            if not (path := table.parent / name).is_file():
                continue
            try:
                label, original = Label(said["label"].lower()), said.get("original") or name
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise DatasetError(f"{table} does not say of {name} whether it is REAL or FAKE") from error
            items.append(Item(path, name, label, "dfdc", (f"dfdc-{Path(original).stem}",)))
    if not items:
        raise DatasetError(f"{source} has no metadata.json, in it or in its folders, that names videos as DFDC has")
    return items


def read_folder(source: Path, levels: Sequence[str] = ()) -> list[Item]:
    """`real/` and `fake/` with folders whose levels are named.

    Args:
        source: The folder.
        levels: What each level of folders below real/ and fake/ is: one of `LEVELS`. A person's folder like 000_003
            or id0_id1 names two.

    Raises:
        DatasetError: A file lies deeper than the levels, or there are none and the files lie in folders.
    """
    items = []
    for label in Label:
        folder = source / label.value
        for path in find_media([str(folder)]) if folder.is_dir() else []:
            relative = path.relative_to(folder)
            if len(relative.parts) - 1 > len(levels):
                raise DatasetError(
                    f"{path} lies in {len(relative.parts) - 1} folders below {label.value}/, of which "
                    f"{len(levels)} are named: say with --levels what each level is, such as method/person"
                )
            named = list(zip(levels, relative.parts[:-1], strict=False))
            method, person = (dict(named).get(level, "") for level in ("method", "person"))
            pair = _PAIR.match(person)
            people = pair.groups() if pair else (person or f"file {label.value}/{relative.as_posix()}",)
            name = "__".join([*(part for level, part in named if level != "method"), relative.name])
            items.append(Item(path, name, label, method or label.value, people))
    if not items:
        raise DatasetError(f"{source} has no image or video below real/ and fake/")
    return items


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} cannot be read as JSON: {error}") from error
