"""Images that a seeded model tells apart by construction: blocks of colour, labelled at random by its own scores.

A real model and real files, so that everything about a calibration can be run; what "fake" means here is nothing.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from export.checkpoint.torch_scores import open_preparer, torch_logits
from training.calibration.fitting import fake_log_odds

TEMPERATURE = 2.0
"""What labels are drawn with: dividing the seeded logits by it makes them calibrated."""


@dataclass(frozen=True)
class ScoredPicture:
    """A PNG file and the log-odds of fake that the model gives it."""

    png: bytes
    log_odds: float


def pictures(checkpoint: Path, count: int, seed: int = 0) -> list[ScoredPicture]:
    """(64, 64) RGB pictures with the scores of the checkpoint, no face in any."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(count):
        cells = (1, 2, 4, 8, 16)[at % 5]
        blocks = rng.integers(0, 256, (cells, cells, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(blocks).resize((64, 64), Image.Resampling.NEAREST).save(stream, "PNG")
        made.append(stream.getvalue())
    loaded = load_checkpoint(locate_checkpoint(str(checkpoint)))
    with open_preparer(loaded, face_detection=False) as preparer:
        squares = np.stack([preparer.prepare(png).pixels for png in made])
    odds = fake_log_odds(torch_logits(loaded, squares), loaded.head.softmax_fake_indices)
    return [ScoredPicture(png, float(value)) for png, value in zip(made, odds, strict=True)]


def write_dataset(checkpoint: Path, folder: Path, count: int = 400, seed: int = 0, persons: int = 0) -> Path:
    """A folder with real/ and fake/, labels drawn by the scores; with persons, each in a subfolder."""
    rng = np.random.default_rng(seed + 1)
    for at, picture in enumerate(pictures(checkpoint, count, seed)):
        is_fake = rng.random() < 1 / (1 + np.exp(-picture.log_odds / TEMPERATURE))
        place = folder / ("fake" if is_fake else "real") / (f"p{at % persons}" if persons else "")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at:04}.png").write_bytes(picture.png)
    return folder


def write_clear_cases(checkpoint: Path, folder: Path, each: int = 2, seed: int = 99) -> Path:
    """A folder with real/ and fake/ that holds the pictures with the lowest and the highest scores."""
    ranked = sorted(pictures(checkpoint, 60, seed), key=lambda picture: picture.log_odds)
    chosen: dict[str, Sequence[ScoredPicture]] = {"real": ranked[:each], "fake": ranked[-each:]}
    for label, found in chosen.items():
        (folder / label).mkdir(parents=True)
        for at, picture in enumerate(found):
            (folder / label / f"case-{at}.png").write_bytes(picture.png)
    return folder
