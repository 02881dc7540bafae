"""What the embedded checkpoint reaches on people it has not seen, by kind of forgery: `measure`."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import BootstrapPlan, Estimate, estimate
from evaluation.dataset import find_dataset
from evaluation.metrics import roc_curve
from export.checkpoint import Checkpoint
from training.calibration.calibration import ScoredMedia
from training.calibration.scores import score_media
from training.calibration.temperature import fake_probability
from training.errors import DatasetError

REAL_METHODS = ("untouched", "filtered")


@dataclass(frozen=True)
class ScoredPicture:
    """A held-out picture and its score.

    Attributes:
        method: How it was made; "untouched" and "filtered" ones are real.
        person: Whose head it is.
        fake_probability: 0-1.
    """

    method: str
    person: str
    fake_probability: float


def score_pictures(checkpoint: Checkpoint, folder: Path) -> list[ScoredPicture]:
    """Scores a folder of `held_out_media` as a service in fp32 does.

    Raises:
        DatasetError: A picture has no score, or people.csv does not name it.
    """
    dataset = find_dataset(folder)
    with (folder / "people.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    scored = []
    for item in score_media(checkpoint, dataset, {name: row["person"] for name, row in rows.items()}):
        if not isinstance(item, ScoredMedia) or item.name not in rows:
            raise DatasetError(f"{folder / item.name} has no score or is not in people.csv; write the folder again")
        p = float(fake_probability(item.logits, checkpoint.fake_indices).mean())
        scored.append(ScoredPicture(rows[item.name]["method"], item.person, p))
    return scored


def auc_of(
    pictures: Sequence[ScoredPicture], fake: str, real: Sequence[str] = REAL_METHODS, plan: BootstrapPlan | None = None
) -> Estimate:
    """AUC of one method's pictures against real ones, with a 95% interval over people.

    Args:
        pictures: Scored.
        fake: The method that counts as fake.
        real: The methods that count as real.
        plan: Of the bootstrap: people are drawn with replacement, each with all pictures of theirs.
    """
    chosen = [picture for picture in pictures if picture.method == fake or picture.method in real]
    p = np.array([picture.fake_probability for picture in chosen])
    is_fake = np.array([picture.method == fake for picture in chosen])
    names, person = np.unique([picture.person for picture in chosen], return_inverse=True)
    members = [np.flatnonzero(person == i) for i in range(len(names))]

    def statistics(people: NDArray[np.intp]) -> dict[str, float]:
        rows = np.concatenate([members[i] for i in people])
        if is_fake[rows].all() or not is_fake[rows].any():
            return {"auc": float("nan")}
        return {"auc": roc_curve(is_fake[rows], p[rows]).auc}

    same_stratum = np.zeros(len(names), np.int64)
    return estimate(statistics, same_stratum, plan or BootstrapPlan(), "a class is missing")["auc"]
