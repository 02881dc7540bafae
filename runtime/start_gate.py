"""Keeps callers away from a server until whoever started it has proved it.

A server answers everyone who reaches it as soon as its models are loaded, wrong ones too. So a model process takes only
the requests that carry the gate's secret, until the gate is opened.
"""

import os
from pathlib import Path

VARIABLE = "DEEPFAKE_START_GATE"
"""Names the gate's file to a model process. Its name is the secret, and its folder is private to the user."""


class StartGate:
    """The gate of this process's environment; open where there is none."""

    def __init__(self) -> None:
        self._file = os.environ.get(VARIABLE, "")

    def admits(self, request_id: str) -> bool:
        """Whether to answer a request: all are answered once the file exists, before that those with the secret."""
        if self._file and os.path.exists(self._file):  # noqa: PTH110 - Path.exists raises where a folder is closed
            self._file = ""
        return not self._file or request_id == Path(self._file).name
