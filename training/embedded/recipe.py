"""How the embedded checkpoint is made: its size, the stages of its training, the forgeries that measure it."""

from dataclasses import dataclass, field

from training.forgeries import STRONG, ForgeryRecipe
from training.small_model import SmallModelSpec


@dataclass(frozen=True)
class Stage:
    """One run of training, from the checkpoint before it.

    Attributes:
        name: Its folder.
        forgeries: What is blended.
        epochs: Passes over `Recipe.faces` + `Recipe.scenes` pairs of a real picture and its forgery.
        learning_rate: Peak; every stage warms up and falls along a cosine.
        patch_loss: Weight of the per-patch loss.
    """

    name: str
    forgeries: ForgeryRecipe
    epochs: int
    learning_rate: float
    patch_loss: float = 2.0


@dataclass(frozen=True)
class Recipe:
    """The embedded checkpoint.

    Attributes:
        model: Its size.
        stages: From easy forgeries to all.
        side_px: Faces and squares of scenes are kept at this size.
        faces: Pairs of an epoch that show a face; each face in turn, half of them with channels in random order.
        scenes: Pairs of an epoch that show a square of a scene.
        pairs_per_step: Real pictures a step; each brings its forgery.
        seed: Of everything drawn.
    """

    model: SmallModelSpec = field(default_factory=SmallModelSpec)
    stages: tuple[Stage, ...] = (
        Stage("easy", ForgeryRecipe(strength=1.6, min_opacity=0.9), 8, 1e-3),
        Stage("all", ForgeryRecipe(), 40, 1e-3, 1.0),
    )
    side_px: int = 352
    faces: int = 1200
    scenes: int = 1600
    pairs_per_step: int = 24
    seed: int = 0


SEEN = ForgeryRecipe(global_change=0.5)
"""The forgeries that are measured as "seen": the same draws as in the last stage."""

MEASURED_STRONG = STRONG
"""Seen methods, with differences that people see at a glance."""
