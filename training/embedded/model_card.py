"""The embedded checkpoint's card: what it is for, what it reaches, where it fails."""

from collections.abc import Mapping
from dataclasses import dataclass

from deepfake_client.release import CardFields, Interval
from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation.bootstrap import Estimate
from export.checkpoint import Checkpoint

CARD = CardFields(
    name="deepfake-embedded",
    licence="Apache-2.0",
    purpose="A demonstration: shows the whole service with a model that has learnt something, where no hub is reached.",
    limits="Trained on photographs of 49 people and forgeries made by code. No evidence about any real-world deepfake.",
)


@dataclass(frozen=True)
class Figures:
    """What it reaches.

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


_SAID = {
    "untouched": "real, untouched",
    "filtered": "real, filtered as a whole",
    "seen": "self-blended, as in training",
    "strong": "self-blended, plain to see",
    "swap": "swapped face, Poisson blend (never trained on)",
    "inpainting": "inpainted part (never trained on)",
}


def card_text(figures: Figures, checkpoint: Checkpoint) -> str:
    """README.md of the checkpoint: Markdown with the block that hubs read."""
    environment = Environment(
        loader=PackageLoader("training.embedded", "."), undefined=StrictUndefined, keep_trailing_newline=True,
        autoescape=False,
    )  # fmt: skip
    environment.filters.update(interval=_interval, percent=lambda share: f"{share:.0%}")
    template = environment.get_template("model_card.md.j2")
    return template.render(
        figures=figures, said=_SAID, bands=checkpoint.verdict_bands.image, record=checkpoint.calibration
    )


def _interval(estimate: Estimate | Interval) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
