"""What the embedded checkpoint reaches on people it has not seen, and its model card."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from deepfake_client.release import CardFields, Interval
from evaluation.dataset import find_dataset
from evaluation.statistics.bootstrap import BootstrapPlan, Estimate, Indices, estimate
from evaluation.statistics.metrics import ranking_metrics
from export.checkpoint.load import Checkpoint
from training.calibration.fitting import fake_probability
from training.calibration.scores import score_media
from training.calibration.units import ScoredMedia
from training.errors import DatasetError

CARD = CardFields(
    name="deepfake-embedded",
    licence="Apache-2.0",
    purpose="A demonstration: shows the whole service with a model that has learnt something, where no hub is reached.",
    limits="Trained on photographs of 49 people and forgeries made by code. No evidence about any real-world deepfake.",
)

REAL_METHODS = ("untouched", "filtered")
CALIBRATION_METHODS = (*REAL_METHODS, "seen", "strong")
"""Methods of the pictures that scale and bands are set on."""

_SAID = {
    "untouched": "real, untouched",
    "filtered": "real, filtered as a whole",
    "seen": "self-blended, as in training",
    "strong": "self-blended, plain to see",
    "swap": "swapped face, Poisson blend (never trained on)",
    "inpainting": "inpainted part (never trained on)",
}
_FAKES = ("seen", "strong", "swap", "inpainting")


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


@dataclass(frozen=True)
class Figures:
    """What the checkpoint reaches.

    Attributes:
        test: AUC by method against the real pictures of the same people, who were never looked at before.
        unseen: The same over these and the people of the calibration, where both have the method.
        filtered: AUC of real pictures that were changed as a whole against untouched ones; 0.5 is right.
        verdicts: By method: shares called real, uncertain and fake, of the test's people.
    """

    test: Mapping[str, Estimate]
    unseen: Mapping[str, Estimate]
    filtered: Estimate
    verdicts: Mapping[str, tuple[float, float, float]]


def measure(checkpoint: Checkpoint, val: Path, test: Path) -> Figures:
    """AUC of each method on the test people, and on these together with the calibration people.

    Args:
        checkpoint: The calibrated one.
        val: Pictures of the people it was calibrated on.
        test: Pictures of people that were never looked at.

    Raises:
        DatasetError: A picture has no score.
    """
    on_test = _scored(checkpoint, test)
    everyone = [*on_test, *_scored(checkpoint, val)]
    return Figures(
        test={method: auc_of(on_test, method) for method in _FAKES},
        unseen={method: auc_of(everyone, method) for method in _FAKES if method in CALIBRATION_METHODS},
        filtered=auc_of(on_test, "filtered", ("untouched",)),
        verdicts={method: _verdicts(on_test, method, checkpoint) for method in _SAID},
    )


def auc_of(
    pictures: Sequence[ScoredPicture], fake: str, real: Sequence[str] = REAL_METHODS, plan: BootstrapPlan | None = None
) -> Estimate:
    """AUC of one method's pictures against real ones, with a 95% interval over people.

    Args:
        pictures: Scored.
        fake: The method that counts as fake.
        real: The methods that count as real.
        plan: Resamples and seed. People are drawn with replacement, each with all their pictures.
    """
    chosen = [picture for picture in pictures if picture.method == fake or picture.method in real]
    p = np.array([picture.fake_probability for picture in chosen])
    is_fake = np.array([picture.method == fake for picture in chosen])
    person = np.unique([picture.person for picture in chosen], return_inverse=True)[1]

    def statistics(rows: Indices) -> dict[str, float]:
        return {"auc": ranking_metrics(is_fake[rows], p[rows])["auc"]}

    return estimate(statistics, is_fake, plan or BootstrapPlan(), "a class is missing", person)["auc"]


def card_text(figures: Figures, checkpoint: Checkpoint) -> str:
    """README.md of the checkpoint: Markdown with the block that hubs read."""
    environment = Environment(
        loader=PackageLoader("training.embedded", "."), undefined=StrictUndefined, keep_trailing_newline=True,
        autoescape=False,
    )  # fmt: skip
    environment.filters.update(interval=_interval, percent=lambda share: f"{share:.0%}")
    template = environment.get_template("card.md.j2")
    return template.render(
        figures=figures, said=_SAID, bands=checkpoint.sidecar.verdict_bands.image, record=checkpoint.sidecar.calibration
    )


def _scored(checkpoint: Checkpoint, folder: Path) -> list[ScoredPicture]:
    """A folder that `write_pictures` wrote, scored as a service in fp32 does."""
    with (folder / "people.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    scored = []
    for item in score_media(checkpoint, find_dataset(folder), {name: row["person"] for name, row in rows.items()}):
        if not isinstance(item, ScoredMedia) or item.name not in rows:
            raise DatasetError(f"{folder / item.name} has no score or is not in people.csv; write the folder again")
        p = float(fake_probability(item.logits, checkpoint.head.softmax_fake_indices).mean())
        scored.append(ScoredPicture(rows[item.name]["method"], item.person, p))
    return scored


def _verdicts(pictures: list[ScoredPicture], method: str, checkpoint: Checkpoint) -> tuple[float, float, float]:
    """Shares called real, uncertain and fake by the image bands."""
    p = np.array([picture.fake_probability for picture in pictures if picture.method == method])
    bands = checkpoint.sidecar.verdict_bands.image
    fake, real = float((p > bands.fake_above).mean()), float((p < bands.real_below).mean())
    return real, 1 - real - fake, fake


def _interval(estimate: Estimate | Interval) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
