"""Files that are whole or absent."""

import contextlib
import os
import tempfile
from pathlib import Path

from training.errors import TrainingError


def write_text(path: Path, text: str) -> None:
    """Writes a text file under another name first.

    Raises:
        TrainingError: The folder cannot be written.
    """
    scratch: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        scratch = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        scratch.chmod(0o644)
        scratch.replace(path)
    except OSError as error:
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
