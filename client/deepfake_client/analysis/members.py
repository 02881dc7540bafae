"""What each of the models that a release fuses says of a media file by itself."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from deepfake_client.errors import ModelFaultError
from deepfake_client.release import ModelInfo, VideoRule
from deepfake_client.scorer import Face, FrameScore
from deepfake_client.scores import deciding_frames, mean


class ModelScore(BaseModel):
    """One of the models whose scores are fused, and what it says by itself."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """Hub id or checkpoint name."""
    whole_image: bool
    """Whether it always sees the whole picture; otherwise the crop of a face, where there is one."""
    calibrated: bool
    """Whether its probabilities are those of a calibration."""
    weight: float
    """Of its log-odds in the fused ones of each picture."""
    fake_probability: float
    """0-1, not rounded: its own score, put together of the same faces and frames as the fused one."""


def score_members(
    model: ModelInfo, judged: Sequence[FrameScore | Face], rule: VideoRule = "mean"
) -> tuple[ModelScore, ...]:
    """What each model says of what the fused score is made of, in the order of `ModelInfo.members`; () for one model.

    Args:
        model: The release.
        judged: The frames, or one person's faces in them, that make the fused score, in order; those that were not
            scored are left out.
        rule: How they make it. The stretch of frames that decides is that of the fused score, for every model.

    Raises:
        ModelFaultError: The scores are not of as many models as the release fuses.
    """
    if not model.members:
        return ()
    scored = [(one.fake_probability, one.members) for one in judged if one.fake_probability is not None]
    if any(len(members) != len(model.members) for _, members in scored):
        raise ModelFaultError(f"{model.version} fuses {len(model.members)} models and does not say what each says")
    deciding = scored[deciding_frames([fused for fused, _ in scored], rule)]
    return tuple(
        ModelScore(
            name=member.name,
            whole_image=member.whole_image,
            calibrated=member.calibrated,
            weight=member.weight,
            fake_probability=mean(own),
        )
        for member, own in zip(model.members, zip(*(members for _, members in deciding), strict=True), strict=True)
    )
