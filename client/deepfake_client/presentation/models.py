"""Several models that are fused, in words."""

from deepfake_client.analysis.members import ModelScore
from deepfake_client.release import ModelInfo


def what_it_sees(score: ModelScore) -> str:
    """What a model is given of a picture."""
    return "whole picture" if score.whole_image else "face crop"


def weight(score: ModelScore) -> str:
    """A model's weight, with three digits."""
    return f"{score.weight:.3g}"


def how_fused(model: ModelInfo) -> str:
    """One sentence on how the models' scores become one."""
    constant = f", and a constant of {model.fusion_intercept:.3g}" if model.fusion_intercept else ""
    return (
        "In each picture the log-odds of the fused score are the sum of the models' log-odds, each times its weight"
        f"{constant}."
    )
