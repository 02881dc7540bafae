"""Media by path, where `-` is the one on standard input."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from deepfake_client.media import open_media

STANDARD_INPUT = Path("-")

OpenMedia = Callable[[os.PathLike[str]], AbstractContextManager[BinaryIO]]


@contextlib.contextmanager
def standard_input_too(paths: list[Path]) -> Iterator[OpenMedia]:
    """Gives an `open_media` for the paths that knows `-`.

    Standard input is copied first where `-` is among them: a video is not read from start to end, and only here can an
    interrupt end the reading.
    """
    if STANDARD_INPUT not in paths:
        yield open_media
        return
    with tempfile.NamedTemporaryFile(prefix="deepfake-detect-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()

        @contextlib.contextmanager
        def open_named_or_copy(path: os.PathLike[str]) -> Iterator[BinaryIO]:
            if path != STANDARD_INPUT:
                with open_media(path) as stream:
                    yield stream
                return
            with open(copy.name, "rb", buffering=0) as raw:  # noqa: PTH123 - its name can be changed
                raw.name = str(STANDARD_INPUT)  # what messages call it
                yield raw

        yield open_named_or_copy
