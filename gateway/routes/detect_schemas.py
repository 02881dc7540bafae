"""The form and the answer of POST /detect."""

import functools
from typing import Annotated, Any, Literal

from deepfake_client.release import ModelIdentity, VerdictBands
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


class FramePrediction(BaseModel):
    """One sampled frame."""

    model_config = ConfigDict(extra="allow")

    index: int = Field(description="Position among the sampled frames, from 0.")
    timestamp_s: float = Field(description="Seconds from the video's first frame; 0 for an image.")
    status: str = Field(description="OK, or why the frame was not scored.")
    fake_probability: float | None = Field(description="0-1, not rounded; null unless scored.")
    face_box: Box | None = Field(description="x0, y0, x1, y1 of the largest face in pixels; null without a face.")
    face_score: float = Field(description="The face detector's score, 0-1; 0 without a face.")


class FrameThumbnail(BaseModel):
    """A small picture of a frame, upright."""

    index: int = Field(description="The frame's `index` in `frame_predictions`.")
    timestamp_s: float
    image: str = Field(description="A JPEG file as a `data:` URL.")
    width_px: int
    height_px: int
    face_box: Box | None = Field(description="x0, y0, x1, y1 in pixels of the thumbnail; null without a face.")


class Scores(BaseModel):
    """The scores of POST /api/v1/inference over the same frames, 0-100."""

    model_config = ConfigDict(extra="allow")

    video_score: float = Field(description="90th percentile of the fake probabilities.")
    peak_risk: float = Field(description="Highest fake probability.")
    mean_risk: float = Field(description="Mean fake probability.")
    audio_score: float = Field(description="Always 0: the model looks at images.")
    gan_fingerprint: float = Field(description="The same as video_score.")
    temporal_consistency: float = Field(description="100 where all frames agree; falls as they differ.")
    risk_score: float = Field(description="video_score, raised where single frames stand out.")
    confidence: float = Field(description="How far the frames are from undecided, on average.")


class DetectMetadata(BaseModel):
    """Details of a verdict. The keys after `model` are there only when asked for with `include`."""

    model_config = ConfigDict(extra="allow")

    input_type: Literal["image", "video"]
    format: str = Field(description="jpeg, png, bmp, webp, mp4, mov, avi, mkv or webm.")
    frames_analyzed: int = Field(description="Frames that were scored.")
    frames_failed: int = Field(description="Frames that were not; each has its status.")
    frame_predictions: list[FramePrediction]
    faces_detected: int = Field(description="Frames with a face.")
    sha256: str = Field(description="Of the uploaded file.")
    model: ModelIdentity
    scores: Scores | None = None
    verdict_bands: VerdictBands | None = Field(default=None, description="The bands that the verdict was made with.")
    thumbnails: list[FrameThumbnail] | None = Field(
        default=None,
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
