"""Fakes made of real faces: self-blended forgeries."""

from training.forgeries.self_blend import STRONG, ForgeryRecipe, SelfBlender

__all__ = ["STRONG", "ForgeryRecipe", "SelfBlender"]
