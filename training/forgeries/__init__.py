"""Fakes made of real faces: self-blended forgeries, and two methods that are only ever held out."""

from training.forgeries.held_out import inpaint_face, swap_face
from training.forgeries.self_blend import STRONG, ForgeryRecipe, SelfBlender

__all__ = ["STRONG", "ForgeryRecipe", "SelfBlender", "inpaint_face", "swap_face"]
