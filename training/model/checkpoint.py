"""The trained checkpoint's directory, with its model card."""

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from deepfake_client.release import Scope
from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import SIDECAR, Sidecar, load_checkpoint
from export.errors import ExportError
from training.data.sets import DataCounts
from training.errors import TrainingError
from training.options import TrainingOptions
from training.writing import whole_folder

PURPOSE = "Tells real faces in pictures and videos from manipulated ones."

LIMITS = """\
- It tells the forgeries that it was trained on from real faces like those it was trained on. Other methods, cameras,
  people, compression and edits are scored with less certainty than the figures above suggest; measure on your own media
  with `deepfake-evaluate`.
- The validation figures chose the kept weights, so they flatter it a little.
- It looks at one face at a time, and at no sound.
- Its verdict bands are the defaults: its probabilities are not calibrated.
- A score is a hint for a person who decides, not a proof."""

_LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy", "opencv-contrib-python", "openvino")


@dataclass(frozen=True)
class CardFacts:
    """What the card says.

    Attributes:
        name: The name of the checkpoint.
        base: Hub id or directory name of the base, with its revision.
        base_sha256: Over the base's configuration and weights.
        options: The options of the run.
        crop_factor: Side of the served crop over the longer side of the face box.
        scope: What the model can judge.
        data: Counts.
        data_digest: Names the data exactly.
        figures: Validation figures of the kept weights.
    """

    name: str
    base: str
    base_sha256: str
    options: TrainingOptions
    crop_factor: float
    scope: Scope
    data: DataCounts
    data_digest: str
    figures: dict[str, Any]


def model_card(facts: CardFacts) -> str:
    """README.md of the checkpoint: Markdown with the metadata block that hubs read."""
    environment = Environment(
        loader=PackageLoader("training.model", "."), undefined=StrictUndefined, keep_trailing_newline=True,
        autoescape=False,
    )  # fmt: skip
    options_json = json.dumps(facts.options.deciding(), indent=1)
    template = environment.get_template("card.md.j2")
    return template.render(**vars(facts), options_json=options_json, versions=_versions(), limits=LIMITS)


def write_checkpoint(target: Path, network: Any, processor: Any, sidecar: Sidecar, card: str) -> None:
    """Saves a classifier as `deepfake-export` takes it, and loads it again; an earlier one of the same place goes.

    Args:
        target: Directory to make.
        network: transformers' image classifier, without adapters.
        processor: Its image processor.
        sidecar: What serving must know.
        card: README.md.

    Raises:
        TrainingError: The directory cannot be written, or what was written cannot be loaded.
    """
    try:
        with whole_folder(target) as scratch:
            network.save_pretrained(scratch)
            processor.save_pretrained(scratch)
            described = sidecar.model_dump_json(indent=1, exclude={"verdict_bands", "calibration"}) + "\n"
            (scratch / SIDECAR).write_text(described, encoding="utf-8")
            (scratch / "README.md").write_text(card, encoding="utf-8")
            load_checkpoint(LocatedCheckpoint(scratch, sidecar.name))
    except ExportError as error:
        raise TrainingError(f"the trained checkpoint cannot be loaded: {error}") from error


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
