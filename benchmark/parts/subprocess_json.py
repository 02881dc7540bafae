"""A measurement in a process of its own, which prints JSON as its last line."""

import json
import subprocess
import sys
from typing import Any

_TIMEOUT_S = 300


class MeasurementError(Exception):
    """The process failed; the end of its error output is in the message."""


def run_module(module: str, *arguments: str, interpreter_options: tuple[str, ...] = ()) -> Any:
    """Runs `python -m module` and reads its last line.

    Raises:
        MeasurementError: It failed.
    """
    command = [sys.executable, *interpreter_options, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{module} did not end within {_TIMEOUT_S} s") from error
    if done.returncode or not done.stdout.strip():
        raise MeasurementError(f"{module} ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])
