"""README.md of a trained checkpoint: what it was made from, how, what it reached, and what it cannot do."""

import importlib.metadata
import json
from dataclasses import dataclass
from typing import Any

from training.options import TrainingOptions

_LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy", "opencv-contrib-python", "mediapipe")

PURPOSE = "Tells real faces in pictures and videos from manipulated ones."

LIMITS = """\
- It tells the forgeries that it was trained on from real faces like those it was trained on. Other methods, cameras,
  people, compression and edits are scored with less certainty than the figures above suggest; measure on your own media
  with `deepfake-evaluate`.
- The validation figures chose the kept weights, so they flatter it a little.
- It looks at the largest face of a frame, and at no sound.
- Its verdict bands are the defaults: its probabilities are not calibrated.
- A score is a hint for a person who decides, not a proof."""


@dataclass(frozen=True)
class CardFacts:
    """What the card says.

    Attributes:
        name: Of the checkpoint.
        base: Hub id or directory name of the base, with its revision.
        base_sha256: Over the base's configuration and weights.
        options: Of the run.
        crop_factor: Of serving.
        data: Counts.
        data_digest: Names the data exactly.
        figures: Of the kept weights.
    """

    name: str
    base: str
    base_sha256: str
    options: TrainingOptions
    crop_factor: float
    data: dict[str, Any]
    data_digest: str
    figures: dict[str, Any]


def model_card(facts: CardFacts) -> str:
    """The card in Markdown, with the metadata block that hubs read."""
    figures = facts.figures
    other = {name: value for name, value in figures.items() if name.startswith("auc_")}
    rows = [("AUC over files", figures["auc"]), ("log loss", figures["log_loss"]), *sorted(other.items())]
    return "\n".join(
        [
            "---", "library_name: transformers", "pipeline_tag: image-classification",
            "tags: [deepfake-detection]", "---",
            f"# {facts.name}", "",
            f"A classifier of real and fake faces, fine-tuned from {facts.base} by `deepfake-train`.",
            "Classes: 0 Fake, 1 Real. Input: a square around the largest face, its side "
            f"{facts.crop_factor:g} x the longer side of the face's box; the whole picture without a face.",
            "", "## Data", "", *_table(("", "training", "validation"), _data_rows(facts.data)), "",
            *_remarks(facts.data), f"Digest of the data: `{facts.data_digest}`.", "",
            "## Validation", "",
            f"Kept: epoch {figures['epoch']:g}, step {figures['step']}, chosen by {facts.options.select}.", "",
            *_table(("figure", "value"), [(name, f"{value:.4f}") for name, value in rows]), "",
            "## Options", "", "```json", json.dumps(facts.options.deciding(), indent=1), "```", "",
            f"Base: `{facts.base_sha256}`. {', '.join(f'{name} {version}' for name, version in _versions())}.", "",
            "## Limits", "", LIMITS, "",
        ]
    )  # fmt: skip


def _data_rows(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    names = {"real": "real", "fake": "fake", "real_frames": "frames of real", "fake_frames": "frames of fake"}
    rows = [
        (said, str(data["train"][key]), str(data["val"][key]))
        for key, said in names.items()
        if key in data.get("train", {})
    ]
    people = data.get("people")
    return [*rows, ("people or sources", str(people["train"]), str(people["val"]))] if people else rows


def _remarks(data: dict[str, Any]) -> list[str]:
    remarks = []
    if data.get("self_blend"):
        remarks.append("Real faces were also shown as forgeries made of themselves.")
    if data.get("unreadable"):
        remarks.append(f"{data['unreadable']} files could not be read.")
    if data.get("left_out"):
        remarks.append(f"{data['left_out']} training files were left out: their people or contents are in validation.")
    return [" ".join(remarks), ""] if remarks else []


def _table(header: tuple[str, ...], rows: list[Any]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
