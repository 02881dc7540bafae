"""What a person sees of a deployment: its own lines, and one line for an error. Libraries write to a log file."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from assets import AssetError
from deepfake_client.command_line.variables import warn_of_unknown_variables
from deepfake_client.environment import variables_of
from deepfake_client.plain_text import shown
from deploy.errors import DeployError
from deploy.settings import DeploySettings
from export.errors import ExportError

Say = Callable[[str], None]
"""Shows one line to the user."""

_STANDARD_OUTPUT = 1
_PATIENCE_S = 1.0


def say(line: str) -> None:
    """Shows one line with the time."""
    show(_STANDARD_OUTPUT, f"{time.strftime('%H:%M:%S')} {line}")


def show(descriptor: int, line: str) -> None:
    """Writes one line, or drops it where the reader has gone or does not read, or the disk is full."""
    with contextlib.suppress(OSError):
        if select.select([], [descriptor], [], _PATIENCE_S)[1]:
            os.write(descriptor, f"{shown(line)}\n".encode(errors="replace"))


@contextmanager
def exits_with_one_line(program: str) -> Iterator[None]:
    """Turns what stops a program into one line on standard error. Exit codes: 1 an error, 2 a wrong setting."""
    warn_of_unknown_variables()
    try:
        yield
    except ValidationError as error:
        problems = "; ".join(f"{_variable(e['loc'])}: {_problem(e)}" for e in error.errors())
        print(shown(f"{program}: {problems}"), file=sys.stderr)
        sys.exit(2)
    except (DeployError, ExportError, AssetError) as error:
        sys.exit(shown(f"{program}: {error}"))
    except OSError as error:
        sys.exit(shown(f"{program}: {error.filename or 'file system'}: {error.strerror}"))


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable of a setting that an error is about."""
    name = ".".join(map(str, location))
    return variables_of(DeploySettings, name)[0] if name in DeploySettings.model_fields else name.upper()


def _problem(error: ErrorDetails) -> str:
    """What is wrong with a setting. A regular expression tells nobody; the setting's description does."""
    field = DeploySettings.model_fields.get(".".join(map(str, error["loc"])))
    if field and error["type"] == "string_pattern_mismatch":
        return f"{error['input']!r} has not the right form. {field.description}"
    return error["msg"].removeprefix("Value error, ")


@contextmanager
def others_to(log: Path) -> Iterator[Say]:
    """Sends standard output and error of this process to a file until the context ends.

    File descriptors are redirected, not Python's streams: native libraries and child processes write to those.

    Args:
        log: The file; its folder is made.

    Yields:
        Shows one line, without the time, where standard output was before.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        terminal = os.dup(1)
        undo.callback(os.close, terminal)
        file = undo.enter_context(log.open("ab", buffering=0))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            saved = os.dup(stream.fileno())
            undo.callback(os.close, saved)
            undo.callback(os.dup2, saved, stream.fileno())
            undo.callback(stream.flush)
            os.dup2(file.fileno(), stream.fileno())
        yield lambda line: show(terminal, line)
