"""How the embedded checkpoint is trained: its stages, and running them."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.sets import TrainingData, data_in_memory
from training.embedded.backbone import write_backbone
from training.embedded.faces import Photographs, pretend_faces, recoloured
from training.forgeries import ForgeryRecipe, SelfBlender
from training.options import TrainingOptions
from training.run import train
from training.run_state import StopRequest, stops_on_signals

NAME = "deepfake-embedded"

SEEN = ForgeryRecipe()
"""The forgeries that are measured as seen: drawn as in the last stage."""

_EASY = ForgeryRecipe(strength=1.6, min_opacity=0.9)

log = logging.getLogger("training")


@dataclass(frozen=True)
class Stage:
    """One run of training, from the checkpoint before it.

    Attributes:
        name: Its folder.
        forgeries: What is blended.
        epochs: Passes over the pairs of a real picture and its forgery.
        learning_rate: Peak.
        augment: Strength of the degradations of both classes (0-1).
    """

    name: str
    forgeries: ForgeryRecipe
    epochs: int
    learning_rate: float
    augment: float


@dataclass(frozen=True)
class Recipe:
    """The embedded checkpoint.

    Attributes:
        stages: From easy forgeries to all.
        side_px: Faces and squares of scenes are kept at this size.
        faces: Pairs of an epoch that show a face: each face in turn, half of them with channels in random order.
        scenes: Pairs of an epoch that show a square of a scene.
        pairs_per_step: Real pictures a step; each brings its forgery.
        patch_loss: Weight of the per-patch loss.
        ema: Decay of the average of the weights.
        seed: Seed of everything random.
    """

    stages: tuple[Stage, ...] = (
        Stage("easy", _EASY, epochs=1, learning_rate=5e-4, augment=0.3),
        Stage("all", ForgeryRecipe(), epochs=7, learning_rate=5e-4, augment=0.4),
    )
    side_px: int = 352
    faces: int = 1200
    scenes: int = 1600
    pairs_per_step: int = 16
    patch_loss: float = 1.0
    ema: float = 0.999
    seed: int = 0


def train_stages(folder: Path, packages: Path, photographs: Photographs, recipe: Recipe) -> Path:
    """Trains all stages that are not done yet.

    Args:
        folder: Holds a folder for each stage; made if needed.
        packages: Where fetched packages are kept.
        photographs: What to train on and what to validate with.
        recipe: How.

    Returns:
        The last stage's checkpoint directory.

    Raises:
        TrainingError: As `training.run.train`.
    """
    checkpoint = folder / "start"
    if not checkpoint.is_dir():
        write_backbone(checkpoint, packages)
    for number, stage in enumerate(recipe.stages):
        done = folder / stage.name / "checkpoint"
        if not done.is_dir():
            log.info("stage %s", stage.name)
            _train_stage(folder / stage.name, checkpoint, photographs, recipe, stage, recipe.seed + number)
        checkpoint = done
    return checkpoint


def _train_stage(output: Path, base: Path, photographs: Photographs, recipe: Recipe, stage: Stage, seed: int) -> None:
    blender = SelfBlender(stage.forgeries)
    options = TrainingOptions(
        output=output,
        base=str(base),
        epochs=stage.epochs,
        batch_size=recipe.pairs_per_step,
        learning_rate=stage.learning_rate,
        warmup=0.05,
        precision="fp32",
        ema=recipe.ema,
        seed=seed,
        crop_factor=1.3,
        self_blend=True,
        augment=stage.augment,
        patch_loss=recipe.patch_loss,
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
