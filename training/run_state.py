"""The folder of a run: what identifies the run, its saved states, and how it is stopped."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from training.errors import OptionError, ResumeError, StoppedError, TrainingError
from training.options import TrainingOptions
from training.writing import write_text

RUN_FILE = "run.json"
COMPLETE_MARK = "complete"
"""Written last into a saved state. A state that a kill cut short has no such file."""

_OURS = ("checkpoint", "runs", "logs", "history.json", "unreadable.csv", "split.csv", RUN_FILE)


class StopRequest:
    """Remembers that someone asked to stop."""

    def __init__(self) -> None:
        """Starts without a request."""
        self.signal_number = 0

    def ask(self, signal_number: int = signal.SIGTERM) -> None:
        """Asks to stop."""
        self.signal_number = int(signal_number)

    def check(self) -> None:
        """Ends the work at a place where nothing needs saving.

        Raises:
            StoppedError: Someone asked.
        """
        if self.signal_number:
            raise StoppedError("stopped before the training began; run it again to go on", self.signal_number)


@contextmanager
def stops_on_signals(stop: StopRequest) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks, the second one ends the program as usual."""

    def handler(number: int, _frame: FrameType | None) -> None:
        stop.ask(number)
        signal.signal(number, former[signal.Signals(number)])

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in former.items():
            signal.signal(number, previous)


@dataclass(frozen=True)
class RunFolder:
    """The output directory of a run."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """Where the trained checkpoint goes."""
        return self.path / "checkpoint"

    @property
    def states(self) -> Path:
        """Trainer's states."""
        return self.path / "runs"

    @property
    def best(self) -> Path:
        """The best weights so far."""
        return self.states / "best"

    def prepare(self, options: TrainingOptions) -> None:
        """Makes the directory; removes an earlier run's files where that was asked for.

        Raises:
            OptionError: It holds an earlier run, and neither resume nor overwrite was said.
            TrainingError: It cannot be written.
        """
        there = [name for name in _OURS if (self.path / name).exists()]
        begun = [name for name in there if name not in ("unreadable.csv", "split.csv")]
        if begun and not (options.resume or options.overwrite):
            raise OptionError(
                f"{self.path} holds {begun[0]} of an earlier run: go on with it (--resume), replace it (--overwrite), "
                "or give another --output"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in there if options.overwrite else ():
                entry = self.path / name
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        except OSError as error:
            raise TrainingError(f"cannot write into {self.path}: {error.strerror}") from error

    def last_state(self) -> Path | None:
        """The newest complete saved state."""
        found = [
            (int(match[1]), folder)
            for folder in (self.states.iterdir() if self.states.is_dir() else ())
            if (match := re.fullmatch(r"checkpoint-(\d+)", folder.name)) and (folder / COMPLETE_MARK).is_file()
        ]
        return max(found)[1] if found else None

    def begin(self, identity: dict[str, Any], resume: bool) -> Path | None:
        """Writes down what this run is. Returns the state to go on from, or None to start at the beginning.

        Raises:
            ResumeError: The directory holds a run of other options or other data.
        """
        file = self.path / RUN_FILE
        if resume and file.is_file():
            _refuse_other_run(file, identity)
            return self.last_state()
        if not resume or not self.states.exists():
            write_text(file, json.dumps(identity, indent=1) + "\n")
            return None
        raise ResumeError(f"{self.path} has saved states but no {RUN_FILE}: start again with --overwrite")


def run_identity(options: TrainingOptions, base_sha256: str, data_digest: str) -> dict[str, Any]:
    """Everything that decides the result of a run, JSON-ready."""
    return {"options": options.deciding(), "base": base_sha256, "data": data_digest}


def _refuse_other_run(file: Path, identity: dict[str, Any]) -> None:
    try:
        former = json.loads(file.read_text(encoding="utf-8"))
        options = former["options"]
        changed = [name for name, value in identity["options"].items() if options.get(name) != value]
        others = [what for what in ("base", "data") if former[what] != identity[what]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResumeError(f"{file} cannot be read: start again with --overwrite") from error
    if changed:
        said = ", ".join(f"{name} ({options.get(name)} then, {identity['options'][name]} now)" for name in changed)
        raise ResumeError(f"the run in {file.parent} had other options: {said}; give the same, or --overwrite")
    if others:
        raise ResumeError(
            f"the run in {file.parent} had another {' and other '.join(others)}; start again with --overwrite"
        )
