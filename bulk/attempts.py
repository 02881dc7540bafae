"""What was under way when a worker died: marks in the output folder that outlive the process that made them.

A worker marks a unit before it begins it, and takes the mark away when it leaves it in any way but by dying.
"""

import json
import os
import socket
import uuid
from collections import Counter
from dataclasses import dataclass

from bulk.storage import Storage

ATTEMPTS_FOLDER = "_attempts"
_WHOLE_UNIT = "unit"


@dataclass(frozen=True)
class Deaths:
    """Workers that died during a unit.

    Attributes:
        of_unit: While they scored it several files at a time.
        of_files: While they scored nothing but this file, by its place in the unit.
    """

    of_unit: int
    of_files: Counter[int]


class Attempts:
    """The marks of an output folder."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def deaths(self, unit_id: str) -> Deaths:
        """What the marks of earlier attempts tell; asked before one's own."""
        marked = Counter(name.rsplit("/", 1)[-1].split("-")[0] for name in self._storage.names(_folder(unit_id)))
        return Deaths(
            marked.pop(_WHOLE_UNIT, 0), Counter({int(place): count for place, count in marked.items() if place})
        )

    def begin(self, unit_id: str, file_place: int | None = None) -> str:
        """Marks a unit, or one file of it, as under way here; returns the mark."""
        what = _WHOLE_UNIT if file_place is None else str(file_place)
        mark = f"{_folder(unit_id)}/{what}-{uuid.uuid4().hex}"
        self._storage.write(mark, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
        return mark

    def end(self, mark: str) -> None:
        """Takes a mark away: its worker lives."""
        self._storage.delete(mark)

    def forget(self, unit_id: str) -> None:
        """Takes away all marks of a unit: it has its shard."""
        self._storage.delete_folder(_folder(unit_id))

    def forget_all(self) -> None:
        """Takes away every mark: a new run begins to count."""
        self._storage.delete_folder(ATTEMPTS_FOLDER)


def _folder(unit_id: str) -> str:
    return f"{ATTEMPTS_FOLDER}/{unit_id}"
