"""results.json: every part's figures, on the disk as soon as they are there."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from benchmark.machine import Machine

_FORM = 1


class ResultsError(Exception):
    """A results file that cannot be read."""


@dataclass(frozen=True)
class PartRecord:
    """What became of one part.

    Attributes:
        status: `measured`, `failed` or `left out`.
        reason: Why it failed or was left out, else "".
        took_s: Wall time.
        measured_at: When it ended, ISO 8601.
        command: The command line of that run.
        machine: Where and with what it was measured.
        figures: The part's own dataclass, as JSON.
    """

    status: str
    reason: str
    took_s: float
    measured_at: str
    command: str
    machine: Machine
    figures: Any = None


class ResultsFile:
    """The file. Each change replaces it whole, so that an interruption leaves the last complete state."""

    def __init__(self, path: Path) -> None:
        """Reads nothing yet."""
        self.path = path

    def read(self) -> dict[str, PartRecord]:
        """The parts it holds, none if there is no file.

        Raises:
            ResultsError: It is no results file of this form.
        """
        if not self.path.exists():
            return {}
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["form"] != _FORM:
                raise ValueError(f"form {document['form']}, not {_FORM}")
            return {
                name: PartRecord(**{**record, "machine": Machine(**record["machine"])})
                for name, record in document["parts"].items()
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{self.path} is no results file of this version: {error}") from error

    def put(self, name: str, record: PartRecord) -> None:
        """Adds or replaces one part and keeps the others.

        Raises:
            ResultsError: The file there cannot be read.
        """
        self._write({**self.read(), name: record})

    def _write(self, parts: Mapping[str, PartRecord]) -> None:
        document = {"form": _FORM, "parts": {name: asdict(record) for name, record in parts.items()}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            partial.write_text(json.dumps(document, indent=1, default=_plain) + "\n", encoding="utf-8")
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
