"""Forgeries of a face made of itself, so that a detector can be trained without any fake.

The idea is that of self-blended images (Shiohara and Yamasaki, "Detecting deepfakes with self-blended images", CVPR
2022): a face is blended with a changed copy of itself, which leaves what every face swap leaves, two sources side by
side that differ in colour, sharpness, noise, compression or place, and nothing that tells one program from another.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.data.changes import Pixels, change_colour, change_frequency, change_geometry
from training.data.faces import FaceImage, Forgery
from training.forgeries.blending import alpha_blend, draw_mask, multiband_blend

_ATTEMPTS = 8


@dataclass(frozen=True)
class ForgeryRecipe:
    """How forgeries are drawn.

    Attributes:
        strength: Strength of the changes; 1 is the usual one of `changes`.
        colour: Probability that colours differ.
        frequency: Probability that sharpness, noise or compression differ. One of the two always does.
        geometry: Probability that the copy is moved.
        multiband: Probability of a multiband blend; an alpha blend else.
        outside: Probability that the surroundings are the changed part, and the face is not.
        min_opacity: The mask is scaled by a factor between this and 1.
        min_difference: In grey levels, over the values that differ at all: what differs less is drawn again, since
            a fake that nothing could tell from its original would be a wrong label.
        global_change: Probability that a picture that stays real is changed as a whole, in one of the same ways.
    """

    strength: float = 1.0
    colour: float = 0.6
    frequency: float = 0.6
    geometry: float = 0.5
    multiband: float = 0.3
    outside: float = 0.5
    min_opacity: float = 0.65
    min_difference: float = 3.0
    global_change: float = 0.5


STRONG = ForgeryRecipe(strength=1.8, colour=0.8, frequency=0.8, min_opacity=1.0)
"""Differences that people see at a glance."""


class SelfBlender:
    """Makes forgeries and their real counterparts by one recipe. It keeps no state."""

    def __init__(self, recipe: ForgeryRecipe | None = None) -> None:
        """Keeps the recipe.

        Args:
            recipe: `ForgeryRecipe()` unless given.
        """
        self.recipe = recipe or ForgeryRecipe()

    def forge(self, face: FaceImage, rng: np.random.Generator) -> Forgery:
        """A visible forgery of the face; `method` is "colour", "frequency" or "colour+frequency", and the blend.

        Args:
            face: A real face.
            rng: Source of all randomness: the same state gives the same forgery.
        """
        drawn = []
        for _ in range(_ATTEMPTS):
            forgery = self._forge_once(face, rng)
            drawn.append((_difference(forgery.pixels, face.pixels), forgery))
            if drawn[-1][0] >= self.recipe.min_difference:
                break
        return max(drawn, key=lambda pair: pair[0])[1]  # a face of one colour has none that differs enough

    def real(self, face: FaceImage, rng: np.random.Generator) -> Pixels:
        """The face as it is, or changed as a whole.

        Without the changes a detector would learn their traces, and call every filtered, recompressed or resampled
        photograph a fake.
        """
        if rng.random() >= self.recipe.global_change:
            return face.pixels
        return self._change(face.pixels, rng)[0]

    def _forge_once(self, face: FaceImage, rng: np.random.Generator) -> Forgery:
        recipe = self.recipe
        changed, kind = self._change(face.pixels, rng)
        if rng.random() < recipe.geometry:
            changed = change_geometry(changed, rng)
        mask = draw_mask(face.shape_px, face.box, rng) * np.float32(rng.uniform(recipe.min_opacity, 1))
        inside, outside = (face.pixels, changed) if rng.random() < recipe.outside else (changed, face.pixels)
        multiband = rng.random() < recipe.multiband
        blended = (multiband_blend if multiband else alpha_blend)(inside, outside, mask)
        return Forgery(blended, mask, f"{kind}/{'multiband' if multiband else 'alpha'}")

    def _change(self, pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, str]:
        recipe = self.recipe
        colour, frequency = rng.random() < recipe.colour, rng.random() < recipe.frequency
        if not colour and not frequency:
            colour = bool(rng.random() < recipe.colour / (recipe.colour + recipe.frequency))
            frequency = not colour
        if colour:
            pixels = change_colour(pixels, rng, recipe.strength)
        if frequency:
            pixels = change_frequency(pixels, rng, recipe.strength)
        return pixels, "+".join(["colour"] * colour + ["frequency"] * frequency)


def _difference(a: Pixels, b: Pixels) -> float:
    """Mean over the values that differ, in grey levels."""
    difference = cv2.absdiff(a, b)
    return float(difference.sum()) / max(np.count_nonzero(difference), 1)
