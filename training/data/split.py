"""Which files validate: those of val/, or groups of people and sources drawn from train/."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Label
from evaluation.people import group
from training.data.media_files import MediaFile, Part
from training.data.reading import CachedFile
from training.errors import DatasetError

log = logging.getLogger("training")


@dataclass(frozen=True)
class SplitFile:
    """A readable file and its place.

    Attributes:
        file: The file.
        faces: Its cut faces.
        group: Number of the people and sources that it belongs to.
        part: Where it is used; None: nowhere, as its people or content are in val/ too.
    """

    file: MediaFile
    faces: CachedFile
    group: int
    part: Part | None


def split_files(
    readable: Sequence[tuple[MediaFile, CachedFile]], fraction: float, seed: int, one_class_suffices: bool
) -> list[SplitFile]:
    """Assigns each file to training or validation. No person and no content is on both sides.

    Args:
        readable: Files with their cut faces.
        fraction: Share of the files for validation where there is no val/.
        seed: Seed of the random draw.
        one_class_suffices: There need not be fakes.

    Raises:
        DatasetError: A side would lack a class.
    """
    groups = group(_links(readable))
    if any(file.part is Part.VALIDATION for file, _ in readable):
        parts = _given(readable, groups)
    else:
        parts = _drawn([file for file, _ in readable], groups, fraction, seed)
    split = [SplitFile(*pair, number, part) for pair, number, part in zip(readable, groups, parts, strict=True)]
    _refuse_lacking(split, one_class_suffices)
    return split


def _links(readable: Sequence[tuple[MediaFile, CachedFile]]) -> list[list[str]]:
    """What joins each file with others: people, the same content, a copy of the picture."""
    links = [[f"content:{file.sha256}", *(f"person:{person}" for person in file.people)] for file, _ in readable]
    for one, other in copies([faces.picture_hash for _, faces in readable]):
        links[one].append(f"picture:{one}-{other}")
        links[other].append(f"picture:{one}-{other}")
    return links


def _given(readable: Sequence[tuple[MediaFile, CachedFile]], groups: Sequence[int]) -> list[Part | None]:
    """The parts that the folders say. Training files that share a group with val/ are left out."""
    validating = {number for (file, _), number in zip(readable, groups, strict=True) if file.part is Part.VALIDATION}
    parts: list[Part | None] = []
    for (file, _), number in zip(readable, groups, strict=True):
        parts.append(None if file.part is Part.TRAIN and number in validating else file.part)
    if left_out := parts.count(None):
        log.warning("%d files of train/ show people or contents of val/ and are left out (split.csv)", left_out)
    return parts


def _drawn(files: Sequence[MediaFile], groups: Sequence[int], fraction: float, seed: int) -> list[Part | None]:
    """Whole groups for validation, with about the same share of each class."""
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.array([file.label is Label.FAKE for file in files])
    folds = min(max(round(1 / fraction), 2), len(set(groups)), int(np.bincount(labels).max()))
    if folds < 2:
        raise DatasetError(
            f"the {len(files)} files are all of one person or source, so none can be kept for validation: add other "
            "people, put files of other people into val/, or say in people.csv who is who (the first subfolder of "
            "real/ and fake/ counts as the person's name)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with few files: what lacks a class is refused below
        for count in range(folds, 1, -1):  # fewer folds are larger, until each side of one has every class
            splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
            chosen, classes = _best_fold(labels, list(splitter.split(labels, labels, groups)))
            if classes == len(set(labels)):
                break
    parts: list[Part | None] = [Part.TRAIN] * len(files)
    for number in chosen:
        parts[number] = Part.VALIDATION
    return parts


def _best_fold(
    labels: NDArray[np.bool_], folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> tuple[list[int], int]:
    """The first fold that has the most classes on both sides, and their number."""
    counts = [min(len(set(labels[side])) for side in fold) for fold in folds]
    best = counts.index(max(counts))
    return [int(number) for number in folds[best][1]], counts[best]


def _refuse_lacking(split: Sequence[SplitFile], one_class_suffices: bool) -> None:
    for part in Part:
        there = {entry.file.label for entry in split if entry.part is part}
        needed = [Label.REAL] if one_class_suffices else list(Label)
        if missing := [label for label in needed if label not in there]:
            side = "training" if part is Part.TRAIN else "validation"
            raise DatasetError(
                f"no readable {' and no readable '.join(missing)} file is left for {side}: each class needs files of "
                "at least two people or sources that share no file; add some, or say in people.csv who is who"
            )


_MAX_BITS = 2
"""Copies differ in this many of 64 bits at most; more would join aligned portraits of different people."""

_CHUNK = 256


def copies(hashes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of places whose hashes are those of copies. Of equal hashes only neighbouring places are paired.

    Args:
        hashes: From `training.data.faces.picture_hash`; "" is like no other.
    """
    places: dict[str, int] = {}
    for place, hash_ in enumerate(hashes):
        if hash_ in places:
            yield places[hash_], place
        if hash_:
            places[hash_] = place
    values = np.array([int(hash_, 16) for hash_ in places], np.uint64)
    where = list(places.values())
    bits = np.array([number.bit_count() for number in range(2**16)], np.uint8)
    for start in range(0, len(values), _CHUNK):
        different = (values[start : start + _CHUNK, None] ^ values[None, start:]).view(np.uint16)
        count = bits[different].reshape(*different.shape[:-1], -1, 4).sum(axis=-1)
        for row, column in np.argwhere(count <= _MAX_BITS):
            if row < column:
                yield where[start + row], where[start + column]
