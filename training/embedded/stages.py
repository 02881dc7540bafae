"""How the embedded checkpoint is trained: its size, its stages, and running them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing import ResizeSpec
from training.data.faces import FaceImage, serving_view
from training.data.sets import TrainingData, data_in_memory
from training.embedded.faces import Photographs, pretend_faces, recoloured
from training.embedded.small_model import SmallModelSpec, write_small_model
from training.embedded.windows import WindowedModel
from training.forgeries import ForgeryRecipe, SelfBlender
from training.model.training_model import TrainingModel
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
        patch_loss: Weight of the per-patch loss.
        augment: Strength of the degradations of both classes (0-1).
        pairs_per_step: Real pictures a step; each brings its forgery.
        windows: Show random windows of each picture instead of it.
    """

    name: str
    forgeries: ForgeryRecipe
    epochs: int
    patch_loss: float
    augment: float
    pairs_per_step: int
    windows: bool = False


@dataclass(frozen=True)
class Recipe:
    """The embedded checkpoint.

    Attributes:
        model: Its size.
        stages: From windows and easy forgeries to whole pictures and all forgeries.
        side_px: Faces and squares of scenes are kept at this size.
        faces: Pairs of an epoch that show a face: each face in turn, half of them with channels in random order.
        scenes: Pairs of an epoch that show a square of a scene.
        learning_rate: Peak, in every stage.
        ema: Decay of the average of the weights.
        seed: Seed of everything random.
    """

    model: SmallModelSpec = field(default_factory=SmallModelSpec)
    stages: tuple[Stage, ...] = (
        Stage("windows", _EASY, epochs=5, patch_loss=2.0, augment=0.3, pairs_per_step=8, windows=True),
        Stage("easy", _EASY, epochs=5, patch_loss=2.0, augment=0.3, pairs_per_step=32),
        Stage("all", ForgeryRecipe(), epochs=36, patch_loss=1.0, augment=0.4, pairs_per_step=32),
    )
    side_px: int = 352
    faces: int = 1200
    scenes: int = 1600
    learning_rate: float = 1e-3
    ema: float = 0.999
    seed: int = 0


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
        select="last",
        workers=1,
        cpu=True,
        resume=(output / "run.json").is_file(),
        name=NAME,
    )
    data = _data(photographs, recipe, blender, seed)
    stop = StopRequest()
    with stops_on_signals(stop):
        train(options, data, blender.forge, blender.real, stop, WindowedModel if stage.windows else TrainingModel)


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
