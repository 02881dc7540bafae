"""Two forgeries that are never trained on: they show what a detector knows about methods it has not seen."""

import cv2
import numpy as np

from preprocessing import Box
from training.data.face_image import FaceImage, Forgery
from training.forgeries.blending import gradient_blend
from training.forgeries.masks import bend, ellipse, part, soften


def swap_face(target: FaceImage, donor: FaceImage, rng: np.random.Generator) -> Forgery:
    """Another person's face in this one's place, box on box, by a gradient blend with matched mean colour.

    Args:
        target: Whose head and surroundings stay.
        donor: Whose face is put in.
        rng: Source of all randomness.
    """
    height, width = target.pixels.shape[:2]
    placed = cv2.warpAffine(
        donor.pixels, _box_to_box(donor.box, target.box), (width, height), flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    mask = bend(ellipse((height, width), target.box, rng), rng, amplitude_px=0.03 * target.box.width)
    inside = mask >= 0.5
    if inside.any():
        values = placed.astype(np.float32)
        values += target.pixels[inside].mean(axis=0) - values[inside].mean(axis=0)
        placed = np.clip(np.rint(values), 0, 255)
    blended = gradient_blend(np.asarray(placed, np.uint8), target.pixels, mask)
    return Forgery(blended, np.asarray(inside, np.float32), "swap")


def inpaint_face(face: FaceImage, rng: np.random.Generator) -> Forgery:
    """The eyes, nose or mouth filled in from their surroundings (Telea's fast marching, 2004), with a soft edge."""
    mask = part(face.shape_px, face.box, rng)
    filled = cv2.inpaint(face.pixels, np.asarray((mask >= 0.5) * 255, np.uint8), 3, cv2.INPAINT_TELEA)
    soft = soften(mask, sigma_px=0.01 * face.box.width)[..., None]
    blended = np.rint(filled * soft + face.pixels * (1 - soft))
    return Forgery(np.clip(blended, 0, 255).astype(np.uint8), np.asarray(soft[..., 0], np.float32), "inpainting")


def _box_to_box(source: Box, target: Box) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    scale = max(target.width, target.height) / max(source.width, source.height)
    x = (target.x0 + target.x1) / 2 - scale * (source.x0 + source.x1) / 2
    y = (target.y0 + target.y1) / 2 - scale * (source.y0 + source.y1) / 2
    return np.asarray([[scale, 0, x], [0, scale, y]], np.float64)
