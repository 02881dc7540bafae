"""Makes the embedded checkpoint from nothing: `python -m training.embedded.build FOLDER`, an hour on two cores.

It fetches the photographs, trains all stages, calibrates on other people, chooses golden images, measures on a third
group of people, and writes FOLDER/checkpoint with its model card. Run again, it goes on where it was.
"""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from safetensors.torch import load_file, save_file
from transformers.utils import SAFE_WEIGHTS_NAME

from assets import AssetError, default_cache_dir
from deepfake_client.command_line.exits import USAGE, fail, run
from deepfake_client.command_line.help import new_app, styled
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import SIDECAR, Checkpoint, load_checkpoint, read_sidecar
from export.checkpoint.model_card import README
from export.checkpoint.torch_scores import fake_probabilities, open_preparer
from export.errors import ExportError
from training.calibration.cli import main_command as calibrate_command
from training.calibration.golden import LEAST_GAP, GoldenPicture
from training.data.faces import FaceImage
from training.embedded.card import CALIBRATION_METHODS, CARD, Figures, card_text, measure
from training.embedded.faces import load_photographs
from training.embedded.pictures import SIDE_PX, golden_candidates, held_out_pictures, write_pictures
from training.embedded.stages import NAME, Recipe, train_stages
from training.errors import CalibrationError, TrainingError
from training.writing import whole_folder

MAX_FPR = MAX_FNR = 0.05
VARIANTS = 3
"""Held-out pictures of each method and face."""
_CALIBRATION_SEED, _TEST_SEED = 11, 12
GOLDEN_CANDIDATES = 40
_GOLDEN_PAIRS, _GOLDEN_LEAST_RIGHT = 2, 0.8

NOTICE = "A small demonstration model, trained on 49 people's photographs: weak evidence. See its model card."


def build(root: Path, photographs: Path, recipe: Recipe, trained: Path | None = None) -> Path:
    """Makes the checkpoint; parts that are there are taken as they are.

    Args:
        root: Everything that is made.
        photographs: Where the photographs are kept.
        recipe: How to train.
        trained: A trained checkpoint that is only calibrated anew; its golden images stay. None: train one.

    Returns:
        The checkpoint's directory.

    Raises:
        TrainingError: A step failed; its message says what to do.
    """
    source = trained or _trained(root, photographs, recipe)
    held_out = load_photographs(photographs, SIDE_PX)
    val = _media(root / "val", held_out.val, _CALIBRATION_SEED)
    test = _media(root / "test", held_out.test, _TEST_SEED)
    calibrated = root / "calibrated"
    if not calibrated.is_dir():
        golden = None if trained else _golden(root / "golden", _load(source))
        calibrate_command(
            checkpoint=str(source), data_dir=val, output=calibrated, max_fpr=MAX_FPR, max_fnr=MAX_FNR, golden=golden
        )
    checkpoint = _load(calibrated)
    return _finish(root / "checkpoint", calibrated, checkpoint, measure(checkpoint, val, test))


def _trained(root: Path, photographs: Path, recipe: Recipe) -> Path:
    if not (half := root / "half").is_dir():
        stages = train_stages(root / "stages", photographs, load_photographs(photographs, recipe.side_px), recipe)
        with whole_folder(half) as scratch:
            _copy_in_half_precision(stages, scratch)
    return half


def _media(folder: Path, faces: tuple[FaceImage, ...], seed: int) -> Path:
    """Held-out pictures, written once. Those to calibrate on leave out the methods that are never trained on."""
    if not folder.is_dir():
        pictures = held_out_pictures(faces, VARIANTS, seed)
        if folder.name == "val":
            pictures = (picture for picture in pictures if picture.method in CALIBRATION_METHODS)
        with whole_folder(folder) as scratch:
            write_pictures(pictures, scratch)
    return folder


def _golden(folder: Path, checkpoint: Checkpoint) -> Path:
    """The clearest pairs of the candidates, as `deepfake-calibrate --golden` takes them.

    Raises:
        CalibrationError: The model does not tell them apart.
    """
    pairs = golden_candidates(GOLDEN_CANDIDATES, seed=0)
    gaps = np.array([_score(checkpoint, fake) - _score(checkpoint, real) for real, fake in pairs])
    best = np.argsort(gaps)[::-1][:_GOLDEN_PAIRS]
    right = float((gaps > 0).mean())  # the best of many are far apart by chance too
    if right < _GOLDEN_LEAST_RIGHT or gaps[best[-1]] < 2 * LEAST_GAP:
        raise CalibrationError(
            f"the model does not tell obvious forgeries apart: {right:.0%} of the pairs in the right order, and the "
            f"{_GOLDEN_PAIRS} clearest ones by {gaps[best[-1]]:.3f} or more; train on"
        )
    with whole_folder(folder) as scratch:
        for picture in (picture for i in best for picture in pairs[i]):
            (scratch / picture.label).mkdir(exist_ok=True)
            (scratch / picture.label / picture.name).write_bytes(picture.png)
    return folder


def _score(checkpoint: Checkpoint, picture: GoldenPicture) -> float:
    with open_preparer(checkpoint, face_detection=False) as preparer:
        pixels = preparer.prepare(picture.png).pixels
    return float(fake_probabilities(checkpoint, pixels[None])[0])


def _finish(target: Path, calibrated: Path, checkpoint: Checkpoint, figures: Figures) -> Path:
    sidecar = read_sidecar(calibrated).model_copy(update={"name": NAME, "notice": NOTICE, "model_card": CARD})
    with whole_folder(target) as scratch:
        _copy_in_half_precision(calibrated, scratch)
        for name, document in (
            (SIDECAR, sidecar.model_dump(mode="json", exclude_none=True)), ("figures.json", asdict(figures)),
        ):  # fmt: skip
            (scratch / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        (scratch / README).write_text(card_text(figures, checkpoint), encoding="utf-8")
    return target


def _copy_in_half_precision(checkpoint: Path, target: Path) -> None:
    """Copies a checkpoint with its weights as fp16 into an empty folder; the head stays as calibration made it.

    Half the size, and scored in fp32 again: weights that were fp16 before they were calibrated lose nothing.
    """
    shutil.copytree(checkpoint, target, dirs_exist_ok=True)
    weights = load_file(target / SAFE_WEIGHTS_NAME)
    body = [name for name in weights if weights[name].is_floating_point() and not name.startswith("classifier")]
    save_file(weights | {name: weights[name].half() for name in body}, target / SAFE_WEIGHTS_NAME, {"format": "pt"})


def _load(path: Path) -> Checkpoint:
    return load_checkpoint(locate_checkpoint(str(path)))


PROGRAM = "python -m training.embedded.build"

EXAMPLES = (
    "python -m training.embedded.build embedded-training",
    "python -m training.embedded.build renewed --trained deploy/embedded_checkpoint",
)

app = new_app(PROGRAM)


@app.command(cls=styled({0: "made", 1: "a step failed: the message says what to do", **USAGE}, EXAMPLES))
def main(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where everything is made.")],
    photographs: Annotated[
        Path | None, typer.Option(show_default="the user's cache folder", help="Where the photographs are kept.")
    ] = None,
    trained: Annotated[
        Path | None, typer.Option(show_default="train one", help="A checkpoint to calibrate anew without training.")
    ] = None,
) -> None:
    """Makes the embedded checkpoint from nothing: an hour on two cores. With --trained it takes minutes.

    Run again, it goes on where it was.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        print(build(folder, photographs or default_cache_dir() / "training-photos", Recipe(), trained))
    except (TrainingError, ExportError, AssetError) as error:
        fail(PROGRAM, str(error), 1)


if __name__ == "__main__":
    run(app, PROGRAM)
