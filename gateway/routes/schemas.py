"""Requests and responses of the HTTP contract."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)  # fmt: skip
from pydantic_core import PydanticCustomError

from deepfake_client.analysis.closer_look import Look
from deepfake_client.analysis.finding import Finding
from deepfake_client.analysis.members import ModelScore
from deepfake_client.analysis.people import Person
from deepfake_client.media import MediaType, titles
from deepfake_client.release import CalibrationSummary, CardReference, VerdictBands
from deepfake_client.result import DetectionDetails, FacePrediction
from deepfake_client.scores import MediaScores
from gateway.media.thumbnails import FaceCrop, FrameThumbnail
from gateway.routes.report import RELEASE_ID_HEADER


def _plain(text: str) -> str:
    if re.search("[\0\ud800-\udfff]", text):
        raise PydanticCustomError("not_plain", "This text cannot hold a NUL character or half a character")
    return text


def _listed(value: Any) -> Any:
    """One path may stand for a list of one; null and an empty text stand for an empty list."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) else value


PlainText = Annotated[str, AfterValidator(_plain)]

MODELS_OF_FRAMES: dict[str, Any] = {"__all__": {"models": True, "faces": {"__all__": {"models": True}}}}
"""What each of several models says of frames and their faces: what is left out where nobody asks for `models`."""


class InferenceRequest(BaseModel):
    """Body of POST /api/v1/inference. Unknown keys are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        json_schema_extra={
            "example": {"mediaType": "VIDEO", "extractedFrames": ["clip/00.jpg", "clip/01.jpg", "clip/02.jpg"]}
        },
    )

    hash: Any = Field(default=None, description="The caller's name for the media; not used.")
    media_type: Literal["VIDEO", "IMAGE", "AUDIO"] = Field(alias="mediaType", description="AUDIO is refused with 415.")
    metadata: Any = Field(default=None, description="The caller's own; not used.")
    extracted_frames: Annotated[
        list[PlainText], BeforeValidator(_listed, json_schema_input_type=list[str] | str | None)
    ] = Field(
        default=[],
        alias="extractedFrames",
        description="Paths of encoded frames, relative to the media root or absolute below it.",
    )
    extracted_audio: PlainText | None = Field(default=None, alias="extractedAudio", description="Not analysed.")
    model_version: Annotated[
        PlainText, BeforeValidator(lambda value: "v2" if value is None else value), Field(max_length=128)
    ] = Field(default="v2", alias="modelVersion", description="Echoed in the response.")
    include: list[Literal["frames", "faces", "findings", "models"]] | None = Field(
        default=None,
        description="What the response holds besides: `frames`, the score of each sampled frame; `faces`, these with "
        "all their faces, which are then scored, and the people; `findings`, what makes the scores unreliable; "
        "`models`, where several are fused, what each says by itself.",
    )


class FrameResult(BaseModel):
    """A sampled frame."""

    index: int = Field(description="Position in the request's extractedFrames.")
    path: str
    status: str = Field(description="OK, or why the frame was not scored.")
    fake_probability: float | None = Field(description="0-1, not rounded; null unless scored.")
    face_box: tuple[float, float, float, float] | None = Field(
        description="x0, y0, x1, y1 of the largest face in pixels; null without a face."
    )
    face_score: float = Field(description="The face detector's score, 0-1; 0 without a face.")
    faces: tuple[FacePrediction, ...] | None = Field(
        default=None, description='With `"include": ["faces"]`: the largest first, eight at most.'
    )
    models: tuple[float, ...] = Field(
        default=(),
        exclude_if=lambda models: not models,
        description='With `"include": ["models"]`: fake probability by each of the answer\'s `models`, 0-1.',
    )


class InferenceResponse(MediaScores):
    """Scores of one image or video, 0-100. The keys after `inference_time` come with `include` only."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str = Field(description="As the request said it.")
    inference_time: int = Field(description="Wall time of the request in milliseconds.")
    frames: list[FrameResult] | None = Field(default=None, description="Every sampled frame, in order.")
    frames_scored: int | None = Field(default=None, description="Frames that were scored.")
    frames_failed: int | None = Field(default=None, description="Frames that were not; each has its status.")
    faces_detected: int | None = Field(default=None, description="Frames with a face.")
    people: tuple[Person, ...] | None = Field(
        default=None, description='With `"include": ["faces"]`: each followed through the frames, as in POST /detect.'
    )
    assessable: bool | None = Field(
        default=None, description="False where the model is for faces only and found none that is large enough."
    )
    findings: list[Finding] | None = Field(default=None, description="What makes the scores unreliable.")
    models: tuple[ModelScore, ...] = Field(
        default=(),
        exclude_if=lambda models: not models,
        description="The models that are fused. The `fake_probability` of each is the mean over the faces and frames "
        "that `mean_risk` is the mean over. Left out of a single model.",
    )


class DetectOptions(BaseModel):
    """What a caller of POST /detect may ask for: in the form, in JSON or in the URL's query."""

    type: Annotated[
        Literal["image", "video"] | None, WithJsonSchema({"type": "string", "enum": ["image", "video"]})
    ] = Field(default=None, description="Refuses the other kind. Empty: the content decides.")
    include: list[Literal["thumbnails", "all_thumbnails", "crops", "scores", "models", Look]] = Field(
        default=[],
        description="What `metadata` holds besides:\n"
        "- `thumbnails`: pictures of the frames that matter\n"
        "- `all_thumbnails`: the same, and smaller ones of every other scored frame\n"
        "- `crops`: each person's face as the model saw it\n"
        "- `scores`: the scores of POST /api/v1/inference, and `verdict_bands`\n"
        "- `models`: where several models are fused, what each says by itself: `models`, of frames and faces too\n"
        "- `stability`: the scores of the deciding face after small changes (5 more pictures are scored, 10 of a "
        "video)\n"
        "- `sensitivity`: a map of where in the picture the score comes from (50 more)\n"
        "- `further_frames`: those around what stands out in a video (up to 30 more); they sharpen `segments` and "
        "change no score\n\n"
        "The last three are skipped where the deadline leaves no time.",
    )
    case_number: PlainText = Field(
        default="", max_length=80, description="For the report, such as a file reference; stored nowhere."
    )
    note: PlainText = Field(default="", max_length=1000, description="For the report, on one line; stored nowhere.")


def _as_body(schema: dict[str, Any]) -> None:
    """The file first, and an empty type, for Swagger UI sends the first of a list unless its reader chooses."""
    options = schema["properties"]
    file, kind = options.pop("file"), options["type"]
    schema["properties"] = {"file": file, **options, "type": {**kind, "enum": ["", *kind["enum"]]}}


class DetectForm(DetectOptions):
    """Form of POST /detect."""

    model_config = ConfigDict(json_schema_extra=_as_body)

    file: Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})] = Field(
        description=f"An image ({titles(MediaType.IMAGE)}) or a video ({titles(MediaType.VIDEO)})."
    )


class DetectJson(DetectOptions):
    """JSON of POST /detect."""

    model_config = ConfigDict(json_schema_extra=_as_body)

    file: str = Field(description="The image or video in base64, or as a `data:` URL.")


class DetectMetadata(DetectionDetails):
    """Details of a verdict. Those from `stability` on are there only when asked for with `include`."""

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
        description="The frames that matter, or with `all_thumbnails` all scored ones, in order. Those whose picture "
        "cannot be made are left out.",
    )
    crops: list[FaceCrop] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Each person's face in their most suspicious frame, the most suspicious person first; the whole "
        "frame where there is nobody.",
    )


_REPORT = {
    "headers": {RELEASE_ID_HEADER: {"description": "With a report: who made it.", "schema": {"type": "string"}}},
    "content": {"text/html": {"schema": {"type": "string", "description": "The evidence report, one HTML file."}}},
}


class DetectResponse(BaseModel):
    """The verdict on one uploaded file. Where the Accept header prefers HTML it is the evidence report instead."""

    model_config = ConfigDict(protected_namespaces=(), openapi_extra=_REPORT)  # type: ignore[typeddict-unknown-key]

    result: Literal["real", "fake", "uncertain"]
    confidence_score: float = Field(
        description="The fake probability, 0-1, of the most suspicious person; of the whole pictures without a face."
    )
    processing_time_seconds: float
    metadata: DetectMetadata
    model_version: str = Field(description="Name, precision and release of the model.")


class HealthResponse(BaseModel):
    """Whether an inference can be served now. The keys after `timestamp` are there when they are known."""

    model_config = ConfigDict(protected_namespaces=())

    status: Literal["healthy", "unhealthy"]
    service: str
    version: str
    model: str
    model_status: Literal["loaded", "not_loaded"]
    timestamp: str = Field(description="ISO 8601, UTC.")
    release_id: str | None = None
    precision: str | None = None
    trained: bool | None = None
    notice: str | None = Field(default=None, description="To be shown beside every result, or empty.")
    calibration: CalibrationSummary | None = Field(
        default=None,
        description="Of a calibrated model: how its scores were scaled, and the error budgets of its verdict bands.",
    )
    model_card: CardReference | None = Field(
        default=None, description="Name, licence, digest and address of the model's card; `route` where it is served."
    )
    reason: str | None = Field(default=None, description="Code of what keeps inferences from being served.")


class ErrorResponse(BaseModel):
    """Every error."""

    error: str = Field(description="Short title.")
    message: str = Field(description="What is wrong and what to do.")
    code: str = Field(description="For programs; upper case.")
    request_id: str = Field(description="Also in the gateway's log and in the X-Request-ID header.")
    frames: list[dict[str, Any]] | None = Field(
        default=None, description="With 422 only: each frame that was not scored, its `index` and `status`."
    )


def describe_violations(error: ValidationError) -> str:
    """The first few violations in one line, each with its field and without the offending value."""
    violations = []
    for violation in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in violation["loc"]).lstrip(".")
        message = violation["msg"].removeprefix("Value error, ")
        violations.append(f"{field}: {message}" if field else message)
    more = error.error_count() - len(violations)
    return "; ".join(violations) + (f"; and {more} more" if more > 0 else "") + "."
