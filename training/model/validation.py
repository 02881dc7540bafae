"""Validation figures over files, and their history."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Label
from training.data.sets import ValidationSet
from training.data.views import CLASS_INDEX
from training.errors import TrainingError
from training.writing import write_text

_SMALLEST_P = 1e-7


@dataclass(frozen=True)
class FileScores:
    """The scores of a validation set.

    Attributes:
        fake_probability: (F,) float64, 0-1: mean over each file's frames.
        is_fake: (F,) bool.
        kinds: How each file was forged, or "".
    """

    fake_probability: NDArray[np.float64]
    is_fake: NDArray[np.bool_]
    kinds: Sequence[str]

    def figures(self) -> dict[str, float]:
        """`auc` (0-1), `log_loss` (natural) and, of several kinds of forgeries, `auc_<kind>` against all reals."""
        from sklearn.metrics import log_loss, roc_auc_score

        p = self.fake_probability.clip(_SMALLEST_P, 1 - _SMALLEST_P)
        figures = {
            "auc": float(roc_auc_score(self.is_fake, self.fake_probability)),
            "log_loss": float(log_loss(self.is_fake, p, labels=[False, True])),
        }
        kinds = sorted({kind for kind in self.kinds if kind})
        for kind in kinds if len(kinds) > 1 else ():
            chosen = ~self.is_fake | (np.array(self.kinds) == kind)
            figures[f"auc_{kind}"] = float(roc_auc_score(self.is_fake[chosen], self.fake_probability[chosen]))
        return figures


def file_scores(logits: NDArray[np.float32], data: ValidationSet) -> FileScores:
    """Averages the fake probabilities of each file's frames.

    Args:
        logits: (N, 2), in the order of the set.
        data: The set.

    Raises:
        TrainingError: The model has diverged.
    """
    logits = logits.astype(np.float64)
    if not np.isfinite(logits).all():
        raise TrainingError("the model's scores are not finite any more: train with a lower learning rate, or in fp32")
    margin = logits[:, CLASS_INDEX[Label.REAL]] - logits[:, CLASS_INDEX[Label.FAKE]]
    fake_probability = 1 / (1 + np.exp(margin.clip(-700, 700)))
    names = dict.fromkeys(zip(data.labels, data.sources, data.kinds, strict=True))
    numbers = {name: number for number, name in enumerate(names)}
    file_of = np.array([numbers[row] for row in zip(data.labels, data.sources, data.kinds, strict=True)])
    means = np.bincount(file_of, weights=fake_probability) / np.bincount(file_of)
    return FileScores(means, np.array([label is Label.FAKE for label, _, _ in names]), [kind for _, _, kind in names])


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
