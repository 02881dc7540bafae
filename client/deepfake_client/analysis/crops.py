"""The part of a frame that the model saw, cut again by the client, so that changed forms of it can be scored."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from pydantic import BaseModel, ConfigDict

from deepfake_client.errors import ModelFaultError
from deepfake_client.pictures import Box, crop_square, scored_picture
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import WHOLE_PICTURE, Deadline, FrameScorer

DIGITS = 4
"""Decimals of the probabilities in the results: the service's own numbers move in the sixth."""


class Part(BaseModel):
    """A part of a result."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Skippable(Part):
    """What a caller asked for and may not get."""

    skipped: str | None = None
    """Why it is missing; null where it is there."""


@dataclass(frozen=True)
class Subject:
    """A face, or a whole picture, that was scored and is looked at more closely.

    Attributes:
        index: Of its frame among the sampled ones.
        timestamp_s: Of its frame.
        encoded: The frame as it was sent.
        person: Whose face it is; None for a whole picture, and where the largest face of each frame decides.
        face_box_px: x0, y0, x1, y1 in pixels after EXIF orientation; None where the whole picture was scored.
        fake_probability: What it scored, 0-1.
    """

    index: int
    timestamp_s: float
    encoded: bytes
    person: int | None
    face_box_px: Box | None
    fake_probability: float

    def picture(self, model: ModelInfo) -> Image.Image:
        """The whole frame; see `scored_picture`."""
        return scored_picture(self.encoded, model.preprocess)

    def square_px(self, picture: Image.Image, crop_factor: float) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of what the service cuts out of the picture: all of it where there is no face."""
        if self.face_box_px is None:
            return 0, 0, *picture.size
        x0, y0, side = crop_square(self.face_box_px, *picture.size, crop_factor)
        return x0, y0, x0 + side, y0 + side


def png(image: Image.Image) -> bytes:
    """A PNG file: the service reads the same pixels from it. Little compressed: that takes less time."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def score_crops(
    scorer: FrameScorer, images: Sequence[bytes], model: ModelInfo, deadline: Deadline, request_id: str
) -> list[float]:
    """Fake probabilities of encoded crops, none of which is searched for a face.

    Raises:
        ServiceError: They were not all scored, or by another release than `model`.
    """
    scoring = scorer.score(images, deadline, request_id, [WHOLE_PICTURE] * len(images))
    if scoring.info.release_id != model.release_id:
        raise ModelFaultError(f"{scoring.info.version} answers now, {model.version} scored the frames")
    p = [score.fake_probability for score in scoring.scores if score.fake_probability is not None]
    if len(p) < len(images):
        raise ModelFaultError(f"{len(images) - len(p)} of {len(images)} changed crops were not scored")
    return p
