"""A file of a data set before it has a place in the training data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluation.dataset import Label

Part = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Item:
    """A labelled file.

    Attributes:
        path: Where it lies.
        name: What it is called in the training data, below its method; no other file of the method has it.
        label: What it is.
        method: The program that made a fake, or the source of a real file.
        people: Who is in it, both the face and the head of a swap.
        part: Where the data set's own split has it; None where it has none.
    """

    path: Path
    name: str
    label: Label
    method: str
    people: tuple[str, ...]
    part: Part | None = None
