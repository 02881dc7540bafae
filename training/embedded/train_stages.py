"""Trains the embedded checkpoint, stage by stage.

Run again after an interruption it goes on from the last epoch that was finished.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing import ResizeSpec
from training.data.cutting import serving_view
from training.data.face_image import FaceImage
from training.data.sets import TrainingData, data_in_memory
from training.embedded.faces import Photographs, pretend_faces, recoloured
from training.embedded.recipe import Recipe, Stage
from training.embedded.small_model import write_small_model
from training.forgeries import SelfBlender
from training.options import TrainingOptions
from training.stopping import StopRequest, stops_on_signals

NAME = "deepfake-embedded"

log = logging.getLogger("training")


def train_stages(folder: Path, photographs: Photographs, recipe: Recipe) -> Path:
    """Trains all stages that are not done yet.

    Args:
        folder: Holds a folder for each stage; made if needed.
        photographs: What to train on and what to validate with.
        recipe: How.

    Returns:
        The last stage's checkpoint directory.

    Raises:
        TrainingError: As `training.run.train`.
    """
    checkpoint = folder / "start"
    if not checkpoint.is_dir():
        write_small_model(checkpoint, recipe.model, _start_pictures(photographs, recipe))
    for number, stage in enumerate(recipe.stages):
        done = folder / stage.name / "checkpoint"
        if not done.is_dir():
            log.info("stage %s", stage.name)
            _train_stage(folder / stage.name, checkpoint, photographs, recipe, stage, recipe.seed + number)
        checkpoint = done
    return checkpoint


def _train_stage(output: Path, base: Path, photographs: Photographs, recipe: Recipe, stage: Stage, seed: int) -> None:
    from training.run import train

    blender = SelfBlender(stage.forgeries)
    options = TrainingOptions(
        output,
        str(base),
        epochs=stage.epochs,
        batch_size=stage.pairs_per_step,
        learning_rate=recipe.learning_rate,
        optimizer="muon",
        warmup=0.02,
        precision="bf16",
        ema=recipe.ema,
        seed=seed,
        crop_factor=1.3,
        self_blend=True,
        augment=stage.augment,
        patch_loss=stage.patch_loss,
        windows=stage.windows,
        select="last",
        workers=1,
        cpu=True,
        resume=(output / "run.json").is_file(),
        name=NAME,
    )
    data = _data(photographs, recipe, blender, seed)
    stop = StopRequest()
    with stops_on_signals(stop):
        train(options, data, blender.forge, blender.real, stop)


def _data(photographs: Photographs, recipe: Recipe, blender: SelfBlender, seed: int) -> TrainingData:
    rng = np.random.default_rng([recipe.seed, seed])
    faces = [photographs.train[i % len(photographs.train)] for i in range(recipe.faces)]
    faces = [recoloured(face, rng) if rng.random() < 0.5 else face for face in faces]
    squares = pretend_faces(photographs.scenes, recipe.scenes, recipe.side_px, rng)
    return data_in_memory([*faces, *squares], photographs.val, forge=blender.forge, seed=seed)


def _start_pictures(photographs: Photographs, recipe: Recipe) -> NDArray[np.uint8]:
    """Crops as the model will see them, to scale its filters on."""
    squares = pretend_faces(photographs.scenes, 64, recipe.side_px, np.random.default_rng(recipe.seed))
    faces: Sequence[FaceImage] = [*photographs.train, *squares]
    resize = ResizeSpec(recipe.model.image_px, 2)
    return np.stack([serving_view(face.pixels, face.box, 1.3, resize) for face in faces])
