"""Makes the embedded checkpoint from nothing: `python -m training.embedded.build FOLDER`, hours on two cores.

Fetches the photographs, trains all stages, calibrates on people of their own, chooses golden images, measures on yet
other people, and writes FOLDER/checkpoint with its model card. Run again it goes on where it was.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assets import default_cache_dir
from export.checkpoint import SIDECAR, Checkpoint, load_checkpoint, read_sidecar
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.model_card import README
from export.checkpoint.torch_scores import fake_probabilities, open_preparer, torch_logits
from training.calibration.cli import main_command as calibrate_command
from training.calibration.golden import LEAST_GAP, GoldenPicture
from training.data.face_image import FaceImage
from training.embedded.faces import load_photographs
from training.embedded.golden_pictures import golden_candidates
from training.embedded.held_out_media import SIDE_PX, LabelledPicture, held_out_pictures, write_pictures
from training.embedded.measure import ScoredPicture, auc_of, score_pictures
from training.embedded.model_card import CARD, Figures, card_text
from training.embedded.recipe import Recipe
from training.embedded.train_stages import NAME, train_stages
from training.errors import CalibrationError
from training.writing import write_text

MAX_FPR = 0.05
MAX_FNR = 0.05
_CALIBRATION_METHODS = ("untouched", "filtered", "seen", "strong")
_METHODS = ("seen", "strong", "swap", "inpainting")
_GOLDEN_PAIRS, _GOLDEN_CANDIDATES, _GOLDEN_LEAST_RIGHT = 2, 40, 0.8
VARIANTS, CALIBRATION_SEED, _TEST_SEED = 3, 11, 12

NOTICE = "A small demonstration model, trained on 49 people's photographs: weak evidence. See its model card."

log = logging.getLogger("training")


def build(root: Path, photographs: Path, recipe: Recipe) -> Path:
    """Makes the checkpoint; parts that are there are taken as they are.

    Args:
        root: Everything that is made.
        photographs: Where the photographs are kept.
        recipe: How to train.

    Returns:
        The checkpoint's directory.

    Raises:
        TrainingError: A step failed; its message says what to do.
    """
    trained = train_stages(root / "stages", load_photographs(photographs, recipe.side_px), recipe)
    held_out = load_photographs(photographs, SIDE_PX)
    val, test = (_media(root / name, faces, seed) for name, faces, seed in (
        ("val", held_out.val, CALIBRATION_SEED), ("test", held_out.test, _TEST_SEED),
    ))  # fmt: skip
    calibrated = root / "calibrated"
    if not calibrated.is_dir():
        golden = _golden(root / "golden", _load(trained))
        calibrate_command(str(trained), val, calibrated, MAX_FPR, MAX_FNR, golden=golden)
    checkpoint = _load(calibrated)
    figures = measure(checkpoint, val, test)
    return _finish(root / "checkpoint", calibrated, checkpoint, figures)


def measure(checkpoint: Checkpoint, val: Path, test: Path) -> Figures:
    """AUC of each method on the test's people, and on those with whom nothing but the calibration was done.

    Args:
        checkpoint: The calibrated one.
        val: Media of the people it was calibrated on.
        test: Media of people that were never looked at.
    """
    on_test = score_pictures(checkpoint, test)
    everyone = [*on_test, *score_pictures(checkpoint, val)]
    return Figures(
        test={method: auc_of(on_test, method) for method in _METHODS},
        unseen={method: auc_of(everyone, method) for method in _METHODS if method in _CALIBRATION_METHODS},
        filtered=auc_of(on_test, "filtered", ("untouched",)),
        verdicts={method: _verdicts(on_test, method, checkpoint) for method in ("untouched", "filtered", *_METHODS)},
    )


def _verdicts(pictures: list[ScoredPicture], method: str, checkpoint: Checkpoint) -> tuple[float, float, float]:
    """Shares called real, uncertain and fake by the image bands."""
    p = np.array([picture.fake_probability for picture in pictures if picture.method == method])
    bands = checkpoint.verdict_bands.image
    fake, real = float((p > bands.fake_above).mean()), float((p < bands.real_below).mean())
    return real, 1 - real - fake, fake


def _media(folder: Path, faces: tuple[FaceImage, ...], seed: int) -> Path:
    """Written once; those to calibrate on hold no method that is held out."""
    if folder.is_dir():
        return folder
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    pictures: Iterator[LabelledPicture] = held_out_pictures(faces, VARIANTS, seed)
    if folder.name == "val":
        pictures = (picture for picture in pictures if picture.method in _CALIBRATION_METHODS)
    write_pictures(pictures, scratch)
    scratch.rename(folder)
    return folder


def _golden(folder: Path, checkpoint: Checkpoint) -> Path:
    """The clearest pairs of the candidates, as `deepfake-calibrate --golden` takes them.

    Raises:
        CalibrationError: The model does not tell them apart.
    """
    pairs = golden_candidates(_GOLDEN_CANDIDATES, seed=0)
    gaps = np.array([_score(checkpoint, fake) - _score(checkpoint, real) for real, fake in pairs])
    best = np.argsort(gaps)[::-1][:_GOLDEN_PAIRS]
    right = float((gaps > 0).mean())  # the best of many are far apart by chance too
    if right < _GOLDEN_LEAST_RIGHT or gaps[best[-1]] < 2 * LEAST_GAP:
        raise CalibrationError(
            f"the model does not tell obvious forgeries apart: {right:.0%} of the pairs in the right order, and the "
            f"{_GOLDEN_PAIRS} clearest ones by {gaps[best[-1]]:.3f} or more; train on"
        )
    shutil.rmtree(folder, ignore_errors=True)
    for i in best:
        for picture in pairs[i]:
            (folder / picture.label).mkdir(parents=True, exist_ok=True)
            (folder / picture.label / picture.name).write_bytes(picture.png)
    return folder


def _score(checkpoint: Checkpoint, picture: GoldenPicture) -> float:
    with open_preparer(checkpoint, face_detection=False) as preparer:
        pixels = preparer.prepare(picture.png).pixels
    return float(fake_probabilities(torch_logits(checkpoint, pixels[None]), checkpoint.fake_indices)[0])


def _finish(target: Path, calibrated: Path, checkpoint: Checkpoint, figures: Figures) -> Path:
    scratch = target.with_name(f".{target.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(calibrated, scratch)
    sidecar = read_sidecar(calibrated).model_copy(update={"name": NAME, "notice": NOTICE, "model_card": CARD})
    text = json.dumps(sidecar.model_dump(mode="json", exclude_none=True), indent=1)
    write_text(scratch / SIDECAR, text + "\n")
    write_text(scratch / README, card_text(figures, checkpoint))
    write_text(scratch / "figures.json", json.dumps(asdict(figures), indent=1) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    return target


def _load(path: Path) -> Checkpoint:
    return load_checkpoint(locate_checkpoint(str(path)))


def main(
    folder: Annotated[Path, typer.Argument(help="Everything that is made.")],
    photographs: Annotated[Path | None, typer.Option(help="Where the photographs are kept.")] = None,
) -> None:
    """Makes the embedded checkpoint."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    print(build(folder, photographs or default_cache_dir() / "training-photos", Recipe()))


if __name__ == "__main__":
    typer.run(main)
