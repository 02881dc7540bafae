"""Several models that are fused, in words."""

from deepfake_client.analysis.members import ModelScore


def what_it_sees(score: ModelScore) -> str:
    """What a model is given of a picture."""
    return "whole picture" if score.whole_image else "face crop"


def weight(score: ModelScore) -> str:
    """A model's weight, with three digits."""
    return f"{score.weight:.3g}"
