"""Keeps the chatter of native libraries off the user's terminal."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

_STDERR = 2
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def quiet_native_code() -> Iterator[None]:
    """Drops what is written to file descriptor 2 in the block.

    MediaPipe's libraries write dozens of lines there while they load and end, and no environment variable stops them.
    Other threads' lines of that moment are lost too, so keep the block short. A block inside a block of the same thread
    changes nothing: the outer one ends the silence.
    """
    with _ONE_AT_A_TIME, contextlib.ExitStack() as undo:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            kept = os.dup(_STDERR)
        except OSError:  # it is closed: nothing can be written there
            yield
            return
        undo.callback(os.close, kept)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        undo.callback(os.close, nowhere)
        os.dup2(nowhere, _STDERR)
        undo.callback(os.dup2, kept, _STDERR)
        yield
