"""Pictures of a verdict's frames and faces, small enough to travel in its JSON."""

import base64
import contextlib
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from deepfake_client import DeadlineExceededError, DetectionOutput, InputError, ScoredFrame
from deepfake_client.pictures import Thumbnail, make_thumbnail
from deepfake_client.presentation.crop_pictures import crop_pictures
from deepfake_client.presentation.key_frames import KeyFrameReason, choose_key_frames, explain
from deepfake_client.scorer import Deadline

_STRIP_SIDE_PX = 160
_SIDE_PX = 320


class _Picture(BaseModel):
    index: int = Field(description="The frame's `index` in `frame_predictions`.")
    timestamp_s: float
    image: str = Field(description="A JPEG file as a `data:` URL.")
    width_px: int
    height_px: int


class FrameThumbnail(_Picture):
    """A small picture of a frame, upright."""

    face_box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = Field(
        description="x0, y0, x1, y1 of the largest face in pixels of the thumbnail; null without a face."
    )
    scale: float = Field(
        description="Pixels of the thumbnail for each pixel of the frame: multiply a `face_box` of `frame_predictions` "
        "by it to draw it here."
    )
    reasons: list[KeyFrameReason] = Field(description="Why the frame matters; empty where it does not.")
    explanation: str = Field(description="The reasons in words.")


class FaceCrop(_Picture):
    """A face as the model saw it."""

    person: int | None = Field(description="Whose it is, by the number in `people`; null for a whole frame.")
    fake_probability: float = Field(description="Of this picture, 0-1, not rounded.")


def thumbnails(output: DetectionOutput, deadline: Deadline, every_frame: bool = False) -> list[FrameThumbnail]:
    """Thumbnails of the frames that matter, as many as can be made, and in time: the verdict is there already.

    Args:
        output: With its frames kept.
        deadline: Of the request.
        every_frame: Adds smaller ones of all other scored frames.
    """
    made: list[FrameThumbnail] = []
    reasons = choose_key_frames(output)
    with contextlib.suppress(DeadlineExceededError):
        for at, frame in enumerate(output.frames):
            if at in reasons or (every_frame and frame.score.fake_probability is not None):
                deadline.remaining_s()
                with contextlib.suppress(InputError):
                    made.append(_thumbnail(frame, reasons.get(at, []), _SIDE_PX if at in reasons else _STRIP_SIDE_PX))
    return made


def crops(output: DetectionOutput, deadline: Deadline) -> Iterator[FaceCrop]:
    """Each person's most suspicious face, as many as can be made in time. The output has its frames kept."""
    with contextlib.suppress(DeadlineExceededError):
        for crop in crop_pictures(output):
            yield FaceCrop(
                person=crop.person,
                index=crop.index,
                timestamp_s=round(crop.timestamp_s, 6),
                fake_probability=crop.fake_probability,
                image=_data_url(crop.picture),
                width_px=crop.picture.width_px,
                height_px=crop.picture.height_px,
            )
            deadline.remaining_s()


def _thumbnail(frame: ScoredFrame, reasons: list[KeyFrameReason], side_px: int) -> FrameThumbnail:
    box_px = frame.score.face_box_px
    made = make_thumbnail(frame.encoded or b"", box_px, max_side_px=side_px)
    return FrameThumbnail(
        index=frame.index,
        timestamp_s=round(frame.timestamp_s, 6),
        image=_data_url(made),
        width_px=made.width_px,
        height_px=made.height_px,
        face_box=[round(edge, 2) for edge in made.face_box_px] if made.face_box_px else None,
        scale=round(made.scale, 6),
        reasons=reasons,
        explanation=explain(reasons),
    )


def _data_url(picture: Thumbnail) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode("ascii")
