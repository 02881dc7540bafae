"""How the embedded checkpoint is trained: its size, its stages, and running them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from preprocessing import ResizeSpec
from training.data.faces import FaceImage, serving_view
from training.data.sets import TrainingData, data_in_memory
from training.embedded.faces import Photographs, pretend_faces, recoloured
from training.embedded.small_model import SmallModelSpec, write_small_model
from training.errors import OptionError
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


class WindowedModel(TrainingModel):
    """Sees each training picture as windows of half its side, on the grid of patches; validation sees it whole.

    A model that starts from nothing learns much faster to compare patches, by the patch loss alone, than to classify.

    Attributes:
        windows: Windows of each picture.
    """

    windows = 4

    def __init__(self, network: Any, *args: Any) -> None:
        """As `TrainingModel`, with a patch loss.

        Raises:
            OptionError: The network is no SigLIP classifier, or has adapters.
        """
        super().__init__(network, *args)
        embeddings = getattr(getattr(network, "vision_model", None), "embeddings", None)
        if embeddings is None or getattr(embeddings, "num_patches", 0) != self.grid * self.grid:
            raise OptionError("windows work with SigLIP classifiers only, and not with lora: train without them")
        self._embeddings: Any = embeddings

    def forward(
        self, pixels: torch.Tensor, labels: torch.Tensor | None = None, patches: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """As `TrainingModel.forward`; in training with patches the logits are those of the windows."""
        if not self.training or patches is None:
            return super().forward(pixels, labels, patches)
        cut, targets, positions = self.draw(self.normalised(pixels), patches)
        whole = self._embeddings.position_ids
        self._embeddings.position_ids = positions
        try:
            logits = self.network(pixel_values=cut).logits.float()
        finally:
            self._embeddings.position_ids = whole
        # The classifier has its place in the graph, for processes that wait for every gradient.
        return {"loss": self.patch_loss * self.foreign_patches_loss(targets) + logits.sum() * 0, "logits": logits}

    def draw(self, pixels: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Windows, their targets, and the positions that their patches have in the whole picture.

        Args:
            pixels: (N, 3, S, S).
            patches: (N, G * G).

        Returns:
            (W * N, 3, S // 2, S // 2), and twice (W * N, (G // 2)^2), rounded down to whole patches.
        """
        side, patch_px = self.grid // 2, pixels.shape[-1] // self.grid
        grids = patches.view(-1, self.grid, self.grid)
        positions = self._embeddings.position_ids.view(self.grid, self.grid)
        windows, targets, places = [], [], []
        for _ in range(self.windows):
            y, x = (int(corner) for corner in torch.randint(0, self.grid - side + 1, (2,)))
            rows, columns = slice(y, y + side), slice(x, x + side)
            top, left, length = y * patch_px, x * patch_px, side * patch_px
            windows.append(pixels[:, :, top : top + length, left : left + length])
            targets.append(grids[:, rows, columns].flatten(1))
            places.append(positions[rows, columns].reshape(1, -1).expand(len(pixels), -1))
        return torch.cat(windows), torch.cat(targets), torch.cat(places)


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
        output=output,
        base=str(base),
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
