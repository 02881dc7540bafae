"""How the embedded checkpoint is made: its size, and the stages of its training."""

from dataclasses import dataclass, field

from training.embedded.small_model import SmallModelSpec
from training.forgeries import ForgeryRecipe

_EASY = ForgeryRecipe(strength=1.6, min_opacity=0.9)


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
        windows: Random windows of each picture instead of it; 0: whole pictures.
    """

    name: str
    forgeries: ForgeryRecipe
    epochs: int
    patch_loss: float
    augment: float
    pairs_per_step: int
    windows: int = 0


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
        seed: Of everything drawn.
    """

    model: SmallModelSpec = field(default_factory=SmallModelSpec)
    stages: tuple[Stage, ...] = (
        Stage("windows", _EASY, epochs=5, patch_loss=2.0, augment=0.3, pairs_per_step=8, windows=4),
        Stage("easy", _EASY, epochs=5, patch_loss=2.0, augment=0.3, pairs_per_step=32),
        Stage("all", ForgeryRecipe(), epochs=36, patch_loss=1.0, augment=0.4, pairs_per_step=32),
    )
    side_px: int = 352
    faces: int = 1200
    scenes: int = 1600
    learning_rate: float = 1e-3
    ema: float = 0.999
    seed: int = 0


SEEN = ForgeryRecipe()
"""The forgeries that are measured as seen: drawn as in the last stage."""
