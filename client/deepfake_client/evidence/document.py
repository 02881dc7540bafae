"""The evidence report as data: what one detection found, on what, by which model, and what makes it unreliable.

Everything but `Evidence.case` and `Evidence.run` is the same whenever the same file is scored by the same release with
the same software. Probabilities are not rounded; they move in the sixth decimal with how the service batches frames.
"""

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from deepfake_client.analysis.finding import Finding
from deepfake_client.analysis.members import ModelScore
from deepfake_client.analysis.people import Person
from deepfake_client.analysis.segments import Segment
from deepfake_client.analysis.sensitivity import Sensitivity
from deepfake_client.analysis.stability import Stability
from deepfake_client.media import MediaType, TextEnum
from deepfake_client.plain_text import printable
from deepfake_client.presentation.key_frames import KeyFrameReason
from deepfake_client.presentation.likelihood import Likelihood
from deepfake_client.presentation.statement import Statement
from deepfake_client.provenance.model import Provenance
from deepfake_client.release import ModelInfo, VerdictBands
from deepfake_client.result import FramePrediction
from deepfake_client.scores import DetectionResult

SCHEMA_VERSION: Literal["4.0"] = "4.0"
"""Of the JSON form: the first number changes when a reader of the old form would go wrong, the second for additions."""

LIMITS = (
    "A score is a model's estimate, not proof. It says how much a picture resembles what the model learned as fake.",
    "A fake probability is not the probability that the file is fake, unless the bands and scores were calibrated on "
    "material like it.",
    "Manipulations of a kind that the model has not learned can go unnoticed; retouching, filters, strong compression "
    "and screen recordings of real footage can look fake.",
    "At most eight faces of a frame are judged, small ones are not, nor are the background and any sound.",
    "Of a video a sample of at most 30 frames is judged: a manipulation between them is not seen.",
    "The SHA-256 ties this report to one file, not to the file's origin: it does not say who made it or when.",
)


class Document(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


class BandsOrigin(TextEnum):
    """Where verdict bands come from."""

    DEFAULT = "default"
    """This project's own, the same for every model that brings none."""
    CHECKPOINT = "checkpoint"
    """Shipped with the checkpoint."""


CASE_NUMBER_CHARACTERS = 80
CASE_NOTE_CHARACTERS = 1000


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


class Case(Document):
    """What the report belongs to, in the words of whoever asks for it.

    Each text becomes one line. Characters that cannot be shown are replaced by U+FFFD.
    """

    number: Annotated[str, BeforeValidator(_one_line)] = Field(default="", max_length=CASE_NUMBER_CHARACTERS)
    """Such as a file reference."""
    note: Annotated[str, BeforeValidator(_one_line)] = Field(default="", max_length=CASE_NOTE_CHARACTERS)


class InputFile(Document):
    """The file that was scored."""

    file_name: str
    """Its name without its folder; characters that cannot be shown are replaced by U+FFFD."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the file, in hexadecimal."""
    size_bytes: int = Field(ge=0)
    """Size of the file."""
    media_type: MediaType
    format: str
    """Name of the format, such as jpeg or mp4: found from the content, never from the name."""
    width_px: int | None = Field(ge=1)
    """Width of the frames as displayed, after rotation; null if not known."""
    height_px: int | None = Field(ge=1)
    """Height of the frames as displayed."""
    duration_s: float | None = Field(ge=0)
    """Seconds from the first sampled frame to the last, which are a video's first and last; null for an image."""


class Bands(Document, VerdictBands):
    """The verdict bands: fake above one probability, real below another, uncertain between them."""

    origin: BandsOrigin


class Verdict(Document):
    """The result."""

    result: DetectionResult
    fake_probability: float = Field(ge=0, le=1)
    """Of the most suspicious person; of the largest faces or the whole pictures where no one decides."""
    person: int | None
    """Who decides, as numbered in order of appearance, of those together the largest face first; null for no one."""
    frames: int
    """Frames that it is made of."""
    bands: Bands
    assessable: bool
    """Whether the model can judge what was found; if not, the result is uncertain whatever the probability."""
    statement: Statement
    """The verdict in words for people."""
    likelihood_ratio: Likelihood | None
    """What the score is worth as evidence; null where the calibration does not say, or the model cannot judge it."""


class Scores(Document):
    """Scores from 0 to 100, of one probability for each frame: by default that of its largest face.

    Those of several frames are null for an image.
    """

    risk_score: float | None = None
    """The 90th percentile; with a highest frame more than 10 above it, 0.7 of it and 0.3 of that frame."""
    video_score: float | None = None
    """90th percentile of the frames' fake probability."""
    peak_risk: float | None = None
    """Highest frame."""
    mean_risk: float | None = None
    """Mean of the frames."""
    temporal_consistency: float | None = None
    """100 if all frames score the same, 0 if they vary strongly."""
    confidence: float
    """Mean over the frames of p or 1 - p, whichever is larger: 50 is undecided."""


class FrameEvidence(Document, FramePrediction):
    """One sampled frame. What is not in `faces` speaks of its largest face, or of the whole frame where it has none."""

    result: DetectionResult | None
    """In which band the frame's fake probability lies; null unless it was scored."""
    probabilities: tuple[float, ...] | None
    """Softmax in the order of the model's labels; null unless the frame was scored."""
    is_peak: bool
    """Whether what decides the verdict is highest in this frame, or stands out from the frames around it."""

    def probability_of(self, person: int | None) -> float | None:
        """Fake probability of a person's face in this frame; for None that of the frame itself."""
        if person is None:
            return self.fake_probability
        return next((face.fake_probability for face in self.faces if face.person == person), None)


class Picture(Document):
    """A JPEG picture without metadata."""

    jpeg_base64: str
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)


class Crop(Document):
    """The part of a frame that was given to the model."""

    index: int = Field(ge=0)
    """That of the frame in `frames`."""
    fake_probability: float = Field(ge=0, le=1)
    """Of this part."""
    picture: Picture


class PersonEvidence(Document, Person):
    """Someone whose face was followed through the sampled frames."""

    crop: Crop | None
    """Their most suspicious face; null if it cannot be shown, or eight people are more suspicious."""


class KeyFrame(Document):
    """A frame that is shown."""

    index: int = Field(ge=0)
    """That of the frame in `frames`."""
    reasons: list[KeyFrameReason] = Field(min_length=1)
    explanation: str
    """Why it is shown."""
    picture: Picture | None
    """The whole frame, made smaller; null if it cannot be shown."""


class Software(Document):
    """What extracted the frames and made this report."""

    client_version: str
    pyav_version: str
    pillow_version: str


class Run(Document):
    """What differs from run to run; the rest of the report is the same."""

    created_at: datetime
    """When this report was made, UTC."""
    processing_time_s: float = Field(ge=0)
    """Wall time of the detection."""


class Evidence(Document):
    """An evidence report."""

    schema_version: Literal["4.0"] = SCHEMA_VERSION
    case: Case | None
    """Null if none was named."""
    input: InputFile
    verdict: Verdict
    findings: list[Finding]
    """What makes the result unreliable, the worst first."""
    provenance: Provenance | None
    """What the file says of itself, which is no part of the scores; null where it says nothing."""
    scores: Scores
    people: list[PersonEvidence]
    """Whose faces were scored, by number."""
    models: list[ModelScore] = Field(default=[], exclude_if=lambda models: not models)
    """The models that are fused, each with its own score of what decides; left out of a single model. `model` holds
    the constant of the fusion and who they are."""
    key_frames: list[KeyFrame]
    """The frames that matter, in the order of time; empty if no frame was kept."""
    frames: list[FrameEvidence]
    """Those that are spread over the media, which scores and verdict are made of."""
    further_frames: list[FrameEvidence]
    """Those sampled around what stands out in a video, numbered on; no score counts them."""
    segments: list[Segment] | None
    """Stretches of a video above the fake band; null for an image."""
    stability: Stability | None
    """Whether the verdict stands when the picture changes a little; null unless it was examined."""
    sensitivity: Sensitivity | None
    """Where in the picture the score comes from; null unless it was examined. It is no proof."""
    sensitivity_picture: Picture | None
    """Its map, drawn over the part of the frame that the model saw."""
    model: ModelInfo
    """The description of the release that answered."""
    software: Software
    limits: list[str]
    """What no report of this kind shows."""
    run: Run


def evidence_schema() -> str:
    """The JSON Schema of the JSON form: what `evidence.schema.json` beside this module holds.

    `python -c "from deepfake_client.evidence import document; print(document.evidence_schema(), end='')"` makes it.
    """
    schema = Evidence.model_json_schema(mode="serialization", by_alias=False)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Evidence report {SCHEMA_VERSION}"}
    return json.dumps({**head, **{key: value for key, value in schema.items() if key != "title"}}, indent=1) + "\n"
