"""The form and the answer of POST /detect."""

import functools
from typing import Annotated, Any, Literal

from deepfake_client.release import VerdictBands
from deepfake_client.result import DetectionDetails
from deepfake_client.scores import MediaScores
from flask_openapi3.models.file import FileStorage
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

Box = Annotated[list[float], Field(min_length=4, max_length=4)]


def _without_empty(values: Any) -> Any:
    return [value for value in values if value != ""] if isinstance(values, list) else values


class DetectForm(BaseModel):
    """Form of POST /detect."""

    file: FileStorage = Field(description="An image (JPEG, PNG, BMP, WebP) or a video (MP4, AVI, MOV, MKV, WebM).")
    type: Annotated[
        Literal["image", "video"] | None,
        BeforeValidator(lambda value: value or None),
        WithJsonSchema({"type": "string", "enum": ["image", "video"]}),
    ] = Field(default=None, description="Sniffed from the content if not given.")
    include: Annotated[list[Literal["thumbnails", "scores"]], BeforeValidator(_without_empty)] = Field(
        default=[],
        description="What `metadata` holds besides, one field for each: `thumbnails` adds pictures of the frames that "
        "matter, `scores` adds `scores` and `verdict_bands`.",
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """See pydantic. Made once: the library asks for it at every request, and making it takes 0.5 ms."""
        return super().model_json_schema(*args, **kwargs) if args or kwargs else _form_schema()


@functools.cache
def _form_schema() -> dict[str, Any]:
    return super(DetectForm, DetectForm).model_json_schema()


class FrameThumbnail(BaseModel):
    """A small picture of a frame, upright."""

    index: int = Field(description="The frame's `index` in `frame_predictions`.")
    timestamp_s: float
    image: str = Field(description="A JPEG file as a `data:` URL.")
    width_px: int
    height_px: int
    face_box: Box | None = Field(description="x0, y0, x1, y1 in pixels of the thumbnail; null without a face.")


class DetectMetadata(DetectionDetails):
    """Details of a verdict. The keys after `model` are there only when asked for with `include`."""

    scores: MediaScores | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The scores of POST /api/v1/inference over the same frames, 0-100.",
    )
    verdict_bands: VerdictBands | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The bands that the verdict was made with.",
    )
    thumbnails: list[FrameThumbnail] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Frames spread over the video, each the most suspicious of its stretch, and the least suspicious "
        "one; in order, eight at most. Scored frames whose picture cannot be made are left out.",
    )


class DetectResponse(BaseModel):
    """The verdict on one uploaded file."""

    model_config = ConfigDict(protected_namespaces=())

    result: Literal["real", "fake", "uncertain"]
    confidence_score: float = Field(description="The fake probability, 0-1: an image's, or the mean over a video's.")
    processing_time_seconds: float
    metadata: DetectMetadata
    model_version: str = Field(description="Name, precision and release of the model.")
