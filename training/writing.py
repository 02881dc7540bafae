"""Files and folders that are whole or absent."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError


def write_text(path: Path, text: str) -> None:
    """Writes a text file under another name first, so that it is whole or absent.

    Raises:
        TrainingError: The folder cannot be written.
    """
    scratch = path.with_name(f".{path.name}-partial")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A scratch folder beside the target. It takes the target's place when the block ends well, and is gone otherwise.

    Raises:
        TrainingError: The folder cannot be written.
    """
    scratch: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        scratch.chmod(0o755)
        yield scratch
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    except OSError as error:
        raise TrainingError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
