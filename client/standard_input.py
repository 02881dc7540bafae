"""Media by path, where `-` is the one on standard input."""

import contextlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from client.frames import open_media

STANDARD_INPUT = Path("-")

OpenMedia = Callable[[Path], AbstractContextManager[BinaryIO]]


@contextlib.contextmanager
def standard_input_too() -> Iterator[OpenMedia]:
    """Gives an `open_media` that knows `-`: a temporary copy, since a video is not read from start to end."""
    with tempfile.NamedTemporaryFile(prefix="deepfake-detect-") as copy:
        lock = threading.Lock()

        @contextlib.contextmanager
        def open_named_or_standard_input(path: Path) -> Iterator[BinaryIO]:
            if path != STANDARD_INPUT:
                with open_media(path) as stream:
                    yield stream
                return
            with lock:
                if copy.tell() == 0:
                    shutil.copyfileobj(sys.stdin.buffer, copy)
                    copy.flush()
            with open(copy.name, "rb", buffering=0) as raw:  # noqa: PTH123 - its name can be changed
                raw.name = str(STANDARD_INPUT)  # what messages call it
                yield raw

        yield open_named_or_standard_input
