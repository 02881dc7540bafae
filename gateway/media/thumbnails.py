"""Pictures of the frames that matter for a verdict, small enough to travel in its JSON."""

import base64
import contextlib
import itertools
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from deepfake_client import DeadlineExceededError, InputError, ScoredFrame
from deepfake_client.pictures import make_thumbnail
from deepfake_client.scorer import Deadline

MAX_THUMBNAILS = 8


class FrameThumbnail(BaseModel):
    """A small picture of a frame, upright."""

    index: int = Field(description="The frame's `index` in `frame_predictions`.")
    timestamp_s: float
    image: str = Field(description="A JPEG file as a `data:` URL.")
    width_px: int
    height_px: int
    face_box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = Field(
        description="x0, y0, x1, y1 in pixels of the thumbnail; null without a face."
    )


def frames_that_matter(frames: Sequence[ScoredFrame]) -> list[ScoredFrame]:
    """All scored frames if they are few, else the most suspicious one of each stretch of the video and the least.

    Args:
        frames: The frames of one detection, in order.
    """
    scored = [frame for frame in frames if frame.score.fake_probability is not None]
    if len(scored) <= MAX_THUMBNAILS:
        return scored
    ends = [len(scored) * i // (MAX_THUMBNAILS - 1) for i in range(MAX_THUMBNAILS)]
    chosen = [max(scored[start:end], key=_fake_probability) for start, end in itertools.pairwise(ends)]
    least = min(scored, key=_fake_probability)
    return sorted({frame.index: frame for frame in [*chosen, least]}.values(), key=lambda frame: frame.index)


def thumbnails(frames: Sequence[ScoredFrame], deadline: Deadline) -> list[FrameThumbnail]:
    """Thumbnails of the frames that matter, as many as can be made, and in time: the verdict is there already."""
    made: list[FrameThumbnail] = []
    with contextlib.suppress(DeadlineExceededError):
        for frame in frames_that_matter(frames):
            deadline.remaining_s()
            with contextlib.suppress(InputError):
                made.append(_thumbnail(frame))
    return made


def _fake_probability(frame: ScoredFrame) -> float:
    return frame.score.fake_probability or 0.0


def _thumbnail(frame: ScoredFrame) -> FrameThumbnail:
    made = make_thumbnail(frame.encoded or b"", frame.score.face_box_px)
    return FrameThumbnail(
        index=frame.index,
        timestamp_s=round(frame.timestamp_s, 6),
        image="data:image/jpeg;base64," + base64.b64encode(made.jpeg).decode("ascii"),
        width_px=made.width_px,
        height_px=made.height_px,
        face_box=[round(edge, 2) for edge in made.face_box_px] if made.face_box_px else None,
    )
