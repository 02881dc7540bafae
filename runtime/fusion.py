"""Fuses the fake probabilities of several models: a weighted sum of their log-odds."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.classifier import Answer
from runtime.errors import ClassifierLoadError, ClassifierRunError

FUSION_FILE = "fusion.json"

_LEAST = 1e-7
"""Probabilities are cut to it and to 1 minus it: float32 has no other ones before 1, whose log-odds are infinite."""

Floats = NDArray[np.floating[Any]]


def log_odds(probabilities: Floats) -> NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities of any shape, cut to those of 1e-7 and 1 - 1e-7."""
    p = np.clip(np.asarray(probabilities, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p) - np.log1p(-p))


@dataclass(frozen=True)
class Fusion:
    """What several models say together.

    The log-odds of the fused fake probability are intercept + sum of weight x log-odds of each member: with equal
    weights of 1 / M the mean, with fitted ones stacking by logistic regression.

    Attributes:
        weights: Of each member.
        intercept: Natural log-odds.
    """

    weights: tuple[float, ...]
    intercept: float = 0.0

    @classmethod
    def mean(cls, members: int) -> "Fusion":
        """The mean of so many members' log-odds."""
        return cls((1 / members,) * members)

    def log_odds(self, members: Floats) -> NDArray[np.float64]:
        """(N,) fused log-odds of the members' fake probabilities, (N, M) within 0-1; NaN where one is NaN."""
        return np.asarray(log_odds(members) @ np.array(self.weights) + self.intercept)

    def fake_probability(self, members: Floats) -> NDArray[np.float64]:
        """(N,) fused fake probabilities, 0-1; see `log_odds`."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(members))))


@dataclass(frozen=True)
class FusionSpec:
    """How a release fuses its classifiers; lies as fusion.json beside its model `fusion`.

    Attributes:
        weights: See `Fusion`.
        intercept: See `Fusion`.
        export_id: What the fused answers carry.
        member_export_ids: What each classifier's answers must carry.
        views: Of each classifier, the number of the squares that it is given (`PreparedImage.views`).
    """

    weights: tuple[float, ...]
    intercept: float
    export_id: int
    member_export_ids: tuple[int, ...]
    views: tuple[int, ...]

    def save(self, folder: Path) -> None:
        """Writes fusion.json."""
        (folder / FUSION_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "FusionSpec":
        """Reads fusion.json.

        Raises:
            ClassifierLoadError: It is missing or damaged.
        """
        try:
            document = json.loads((folder / FUSION_FILE).read_text(encoding="utf-8"))
            values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in document.items()}
            return cls(**values)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ClassifierLoadError(f"{folder / FUSION_FILE} cannot be read ({error}): export again") from error

    def fused(self, members: NDArray[np.float32], export_ids: NDArray[np.int32]) -> Answer:
        """The fused answer; its labels are fake and real.

        Args:
            members: (N, M) float32, the fake probability by each classifier; NaN where the image was not scored.
            export_ids: (N, M) int32, as the classifiers answered.

        Raises:
            ClassifierRunError: A classifier of another export answered.
        """
        if (export_ids != np.array(self.member_export_ids, np.int32)).any():
            raise ClassifierRunError(
                f"the fusion is of the exports {self.member_export_ids}, and others answered: export again"
            )
        p = Fusion(self.weights, self.intercept).fake_probability(members).astype(np.float32)[:, None]
        return Answer(p, np.concatenate([p, 1 - p], axis=1), np.full_like(p, self.export_id, np.int32))
