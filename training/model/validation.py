"""Validation figures over files, and their history."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from evaluation.dataset import Label
from training.data.sets import ValidationSet
from training.data.views import CLASS_INDEX
from training.errors import TrainingError
from training.writing import write_text

HISTORY_NAME = "history.json"
_SMALLEST_P = 1e-7

log = logging.getLogger("training")


def validation_figures(logits: NDArray[np.float32], data: ValidationSet) -> dict[str, float]:
    """Figures over files; the fake probability of a file is the mean over its faces.

    Args:
        logits: (N, 2), in the order of the set.
        data: The set.

    Returns:
        `auc` (0-1), `log_loss` (nats) and, where there are several kinds of forgeries, `auc_<kind>` of each against all
        real files.

    Raises:
        TrainingError: The model has diverged.
    """
    logits = logits.astype(np.float64)
    if not np.isfinite(logits).all():
        raise TrainingError("the model's scores are not finite any more: train with a lower learning rate, or in fp32")
    rows = list(zip(data.labels, data.sources, data.kinds, strict=True))
    files = {name: number for number, name in enumerate(dict.fromkeys(rows))}
    file_of = np.array([files[row] for row in rows])
    of_frames = expit(logits[:, CLASS_INDEX[Label.FAKE]] - logits[:, CLASS_INDEX[Label.REAL]])
    p = np.bincount(file_of, weights=of_frames) / np.bincount(file_of)
    is_fake = np.array([label is Label.FAKE for label, _, _ in files])
    figures = {
        "auc": float(roc_auc_score(is_fake, p)),
        "log_loss": float(log_loss(is_fake, p.clip(_SMALLEST_P, 1 - _SMALLEST_P), labels=[False, True])),
    }
    kind_of = np.array([kind for _, _, kind in files])
    kinds = sorted(set(kind_of) - {""})
    for kind in kinds if len(kinds) > 1 else ():
        chosen = ~is_fake | (kind_of == kind)
        figures[f"auc_{kind}"] = float(roc_auc_score(is_fake[chosen], p[chosen]))
    return figures


class History:
    """The rows of one run, one per validation."""

    def __init__(self, path: Path) -> None:
        """An empty history that will be written to `path`."""
        self._path, self._started = path, time.monotonic()
        self.rows: list[dict[str, Any]] = []

    @property
    def epochs_without_gain(self) -> int:
        """Validations since the best one."""
        return next((at for at, row in enumerate(reversed(self.rows)) if row["kept"]), len(self.rows))

    def take_up(self, step: int) -> None:
        """Reads what an interrupted run wrote up to a step."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            self.rows = [row for row in rows if row["step"] <= step]
        except (OSError, ValueError, KeyError, TypeError):
            self.rows = []  # without it the run goes on, and its next validation counts as the best so far

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
