"""What each validation found: kept in memory, in history.json, and said in one line each."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from training.writing import write_text

HISTORY_NAME = "history.json"

log = logging.getLogger("training")


class History:
    """The rows of one run, one per validation."""

    def __init__(self, path: Path) -> None:
        """An empty history that will be written to `path`."""
        self._path, self._started = path, time.monotonic()
        self.rows: list[dict[str, Any]] = []

    def take_up(self, step: int) -> None:
        """Reads what an interrupted run wrote up to a step."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            self.rows = [row for row in rows if row["step"] <= step]
        except (OSError, ValueError, KeyError, TypeError):
            self.rows = []  # only for reading by people: nothing depends on it

    def add(self, row: dict[str, Any], epochs: int, kept: bool) -> None:
        """Notes a validation, says it and writes the file."""
        self.rows = [other for other in self.rows if other["step"] < row["step"]]
        self.rows.append({**row, "seconds": round(time.monotonic() - self._started, 1), "kept": kept})
        trained = "" if row["train_loss"] is None else f"loss {row['train_loss']:.4f}, "
        log.info(
            "epoch %.2f of %d, step %d: %svalidation AUC %.4f, log loss %.4f%s",
            row["epoch"], epochs, row["step"], trained, row["auc"], row["log_loss"], ", best so far" if kept else "",
        )  # fmt: skip
        write_text(self._path, json.dumps(self.rows, indent=1) + "\n")
