"""Writes the trained checkpoint: whole or not at all, and read back before it gets its name."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from export.checkpoint import SIDECAR, Sidecar, load_checkpoint
from export.checkpoint.hub import LocatedCheckpoint
from export.errors import ExportError
from training.errors import TrainingError


def write_checkpoint(target: Path, network: Any, processor: Any, sidecar: Sidecar, card: str) -> None:
    """Saves a classifier as `deepfake-export` takes it; an earlier one of the same place goes.

    Args:
        target: Directory to make.
        network: transformers' image classifier, without adapters.
        processor: Its image processor.
        sidecar: What serving must know.
        card: README.md.

    Raises:
        TrainingError: The directory cannot be written, or what was written cannot be loaded.
    """
    scratch: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        scratch.chmod(0o755)
        network.save_pretrained(scratch)
        processor.save_pretrained(scratch)
        described = sidecar.model_dump_json(indent=1, exclude={"verdict_bands", "calibration"}) + "\n"
        (scratch / SIDECAR).write_text(described, encoding="utf-8")
        (scratch / "README.md").write_text(card, encoding="utf-8")
        load_checkpoint(LocatedCheckpoint(scratch, sidecar.name))
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    except OSError as error:
        raise TrainingError(f"cannot write {target}: {error.strerror or error}") from error
    except ExportError as error:
        raise TrainingError(f"the trained checkpoint cannot be loaded: {error}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
