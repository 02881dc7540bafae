"""The output directory: never clobbered by accident, never half written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluation.errors import OutputError, OutputExistsError

RESULTS_NAME = "results.json"
FIGURE_NAMES = ("roc", "scores", "reliability")
FIGURE_SUFFIXES = ("png", "svg")

_OURS = (RESULTS_NAME, *(f"{name}.{suffix}" for name in FIGURE_NAMES for suffix in FIGURE_SUFFIXES))


def check_output(folder: Path, overwrite: bool) -> None:
    """Finds out before the work whether the result can be written afterwards.

    Raises:
        OutputExistsError: The folder holds files of an earlier result and may not be overwritten.
        OutputError: It is no directory, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is no directory")
    there = [name for name in _OURS if (folder / name).exists()]
    if there and not overwrite:
        raise OutputExistsError(f"{folder} holds {there[0]} already: give another --output, or --overwrite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {folder}")


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A scratch directory whose files move into the folder at the end, `results.json` last.

    An earlier result goes first, so that a `results.json` always stands beside its own figures. When the block raises,
    the folder stays as it was.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from error
    try:
        yield scratch
        for name in _OURS:
            (folder / name).unlink(missing_ok=True)
        for made in sorted(scratch.iterdir(), key=lambda path: path.name == RESULTS_NAME):
            made.replace(folder / made.name)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
