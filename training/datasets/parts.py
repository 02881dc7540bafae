"""Which files train, validate and test: no person on two sides, and if asked no method either."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evaluation.dataset import Label
from evaluation.people import group
from training.datasets.items import Item, Part
from training.errors import DatasetError

_RANK: dict[Part, int] = {"train": 0, "val": 1, "test": 2}


def assign_parts(items: Sequence[Item], test_fraction: float, seed: int) -> list[Part | None]:
    """The part of each item; None for those that show someone of a later part of the data set's own split.

    Without such a split whole groups of people are drawn for the test. Validation is left to `deepfake-train`.

    Args:
        items: All of the data set.
        test_fraction: Share of the files to draw for the test, 0-1.
        seed: Of the draw.

    Raises:
        DatasetError: All files are of people who are joined with each other, so that none can be kept for the test.
    """
    if not any(item.part for item in items):
        groups = group([list(item.people) for item in items])
        drawn = _drawn(groups, test_fraction, seed)
        return ["test" if number in drawn else "train" for number in groups]
    latest: dict[str, Part] = {}
    for item in items:
        for name in item.people:
            latest[name] = max(item.part or "train", latest.get(name, "train"), key=_RANK.__getitem__)
    return [
        part if all(latest[name] == part for name in item.people) else None
        for item in items
        for part in [item.part or "train"]
    ]


def _drawn(groups: Sequence[int], fraction: float, seed: int) -> set[int]:
    counts = np.bincount(groups)
    if fraction and counts.size < 2:
        raise DatasetError(
            "every file shares people with another one, so none can be kept for the test: give --test-fraction 0 and "
            "test on another data set"
        )
    order = np.random.default_rng(seed).permutation(counts.size)
    before = np.cumsum(counts[order]) - counts[order]
    return set(order[before < fraction * len(groups)][: counts.size - 1].tolist())


def without_method(items: Sequence[Item], parts: Sequence[Part | None], method: str) -> list[Part | None]:
    """Leave-one-out: the method's fakes are in the test alone, and the test has no other fakes.

    Raises:
        DatasetError: No fake has the method.
    """
    methods = sorted({item.method for item in items if item.label is Label.FAKE})
    if method not in methods:
        raise DatasetError(f"there is no method {method!r} to leave out; there are {', '.join(methods)}")
    return [
        None if part and item.label is Label.FAKE and (item.method == method) != (part == "test") else part
        for item, part in zip(items, parts, strict=True)
    ]


def at_most(items: Sequence[Item], parts: Sequence[Part | None], count: int, seed: int) -> list[Part | None]:
    """So many files, drawn at random, of each method, label and part at most, so that no method outweighs others."""
    chosen: list[Part | None] = [None] * len(parts)
    taken = Counter[tuple[str, Label, Part]]()
    for at in np.random.default_rng(seed).permutation(len(items)).tolist():
        if part := parts[at]:
            key = (items[at].method, items[at].label, part)
            taken[key] += 1
            chosen[at] = part if taken[key] <= count else None
    return chosen


def require_classes(items: Sequence[Item], parts: Sequence[Part | None]) -> None:
    """Refuses a part with one class.

    Raises:
        DatasetError: Naming it.
    """
    for part in _RANK:
        there = {item.label for item, its in zip(items, parts, strict=True) if its == part}
        if len(there) == 1:
            raise DatasetError(
                f"the {part} part has {there.pop().value} files only: change --test-fraction or --seed. If the data "
                "set's own split does it, move its list of test files away; --test-fraction 0 then trains on all"
            )
