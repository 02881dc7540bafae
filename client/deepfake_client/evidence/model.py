"""The part of the evidence report that says which model answered, how it was calibrated and who describes it."""

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


class Calibration(Document):
    """How the bands of the verdict came about: the checkpoint's own statement."""

    temperature: float = Field(gt=0)
    """What logits were divided by so that probabilities mean what they say."""

    max_fpr: float = Field(ge=0, le=1)
    """Share of real files that may be called fake: the budget that the bands were set for."""

    max_fnr: float = Field(ge=0, le=1)
    """Share of fakes that may be called real."""

    measured_on: str
    """images, frames or videos."""

    real: int = Field(ge=0)
    fake: int = Field(ge=0)
    """Files that it was measured on."""

    persons: int | None
    """Persons in them; null where the checkpoint does not say."""

    fpr: float = Field(ge=0, le=1)
    """Share of these real files that the bands call fake."""

    fpr_upper: float = Field(ge=0, le=1)
    """Its 95% upper bound."""

    tpr: float = Field(ge=0, le=1)
    """Share of these fakes that the bands call fake."""

    tpr_low: float | None = Field(ge=0, le=1)
    """Lower end of its 95% interval; null if it is not known."""

    tpr_high: float | None = Field(ge=0, le=1)
    """Upper end."""


class ModelCard(Document):
    """Which model card describes the model, and where it can be read."""

    name: str
    licence: str
    """Empty if the card does not say."""

    purpose: str
    """What the model is for; empty if the card does not say."""

    limits: str
    """Where it fails; empty if the card does not say."""

    url: str
    """Where more stands; empty if nowhere."""

    sha256: str | None
    """Of the card's text, which the release has as MODEL_CARD.md; null without one."""

    gateway_route: str | None
    """Where a gateway of this release serves the text; null if it does not."""


class Model(Document):
    """The release that answered."""

    name: str
    version: str
    """Name, precision and release in one."""

    release_id: str
    export_id: int
    """The constant baked into the graph, which came back with the answers."""

    precision: str
    labels: list[str]
    fake_labels: list[str]
    """Those whose probabilities add up to the fake probability; empty if the release does not say."""

    checkpoint_sha256: str | None
    """Of the checkpoint's files; null if the release does not say."""

    trained: bool
    """False: the weights were never trained, and no score means anything."""

    notice: str
    """What the release wants to be shown beside every result, or empty."""

    preprocessing_version: int | None
    """Null if the release does not say."""

    face_detection: bool
    """Whether frames are cropped to their largest face."""

    crop_factor: float | None
    """Side of that crop over the longer side of the face box; null if the release does not say."""

    image_size_px: int = Field(ge=1)
    """Side of the square that the model sees."""

    calibration: Calibration | None
    """Of the verdict's bands; null if the checkpoint was not calibrated."""

    model_card: ModelCard | None
    """Null if the checkpoint has none."""
