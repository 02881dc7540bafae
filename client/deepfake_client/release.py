"""What a release says about itself: `deepfake-export` writes it, and everyone else reads it.

The description is the `description` of a release's `release.json`. Triton serves it to clients as the config parameter
`DESCRIPTION_PARAMETER` of the ensemble, with the release's own hash in it.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deepfake_client.errors import ModelNotServedError
from deepfake_client.media import MediaType, TextEnum

MANIFEST = "release.json"
"""The file in a release's folder that names it."""

DESCRIPTION_PARAMETER = "deepfake_serving"
"""Name of the ensemble's config parameter that carries the description as JSON."""

CARD_ROUTE = "/model-card"
"""Where a gateway serves the text of the model card."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def _left_out() -> Any:
    """A field that is None unless it is given, and then not written."""
    return Field(default=None, exclude_if=lambda value: value is None)


MAX_MEMBERS = 8
"""Most models whose scores a release fuses."""


class VerdictBands(_Part):
    """Fake above `fake_above`, real below `real_below`, uncertain between; both are fake probabilities (0-1)."""

    real_below: float = Field(ge=0, le=1)
    fake_above: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> "VerdictBands":
        if self.real_below > self.fake_above:
            raise ValueError("real_below is above fake_above")
        return self


Activation = Literal["softmax", "sigmoid"]
"""How logits become PROBABILITIES: of classes that exclude each other, or of each label on its own."""

FakeWhen = Literal["high", "low"]
"""Which end of a single output means fake."""


class Scope(TextEnum):
    """What a release can judge."""

    FACE = "face"
    """Pictures of faces only."""
    ANY = "any"
    """Any picture: what a checkpoint is taken for that does not say."""


class ReleaseBands(_Part):
    """The bands of single images and of videos, with the defaults of a checkpoint that ships none."""

    image: VerdictBands = VerdictBands(real_below=0.3, fake_above=0.7)
    video: VerdictBands = VerdictBands(real_below=0.4, fake_above=0.6)

    def of(self, media_type: MediaType) -> VerdictBands:
        """The bands that decide about this kind of media."""
        return self.image if media_type is MediaType.IMAGE else self.video


class Interval(_Part):
    """A share (0-1) and its 95% bootstrap interval."""

    value: float = Field(ge=0, le=1)
    low: float | None = Field(default=None, ge=0, le=1)
    """None where no resample gave one."""
    high: float | None = Field(default=None, ge=0, le=1)


class LikelihoodRatios(_Part):
    """How a fake probability p becomes a likelihood ratio: how much likelier it is for a fake than for a real file.

    log10 LR = `slope` x log10(p / (1 - p)) + `intercept`, cut to what the number of cases supports.
    """

    slope: float = Field(gt=0)
    intercept: float
    low: float = Field(le=0)
    """Lowest log10 LR that is said (ELUB: Vergeer and others, Science and Justice 56, 2016)."""
    high: float = Field(ge=0)
    """Highest one."""
    cllr: float = Field(ge=0)
    """Cost of these ratios on the files they were set on, in bits: 0 is perfect, 1 tells nothing (Brümmer, 2006)."""
    cllr_min: float = Field(ge=0, le=1)
    """Cost of the best ratios that rise with the score: what lies between is bad calibration."""

    def log10_of(self, fake_probability: float) -> float:
        """The log10 likelihood ratio of a fake probability (0-1) that decides a verdict."""
        p = min(max(fake_probability, 1e-12), 1 - 1e-12)
        return min(max(self.slope * math.log10(p / (1 - p)) + self.intercept, self.low), self.high)


class BandRecord(_Part):
    """How the bands of images, or of videos, did on the material they were set on."""

    unit: Literal["images", "frames", "videos"]
    """What was judged: images, frames of videos (each video counts once), or videos (the mean over their frames)."""
    real: int = Field(ge=1)
    """Real files."""
    fake: int = Field(ge=1)
    """Fake files."""
    persons: int | None = Field(default=None, ge=1)
    """Persons or other groups that the intervals are drawn over; None where nothing says who is who."""
    auc: float = Field(ge=0, le=1)
    """Area under the ROC curve."""
    ece_before: float = Field(ge=0, le=1)
    """Expected calibration error of the fake probability before the calibration, each class counting half."""
    ece_after: float = Field(ge=0, le=1)
    """The same after it."""
    fpr: float = Field(ge=0, le=1)
    """Share of the real ones called fake."""
    fpr_upper: float = Field(ge=0, le=1)
    """One-sided 95% upper bound of it over persons (Korn and Graubard), or over files where persons is None."""
    fnr: float = Field(ge=0, le=1)
    """Share of the fakes called real."""
    fnr_upper: float = Field(ge=0, le=1)
    """One-sided 95% upper bound of it."""
    tpr: Interval
    """Share of the fakes called fake."""
    uncertain: float = Field(ge=0, le=1)
    """Share of all files between the bands."""
    likelihood_ratio: LikelihoodRatios | None = _left_out()
    """Left out in the records of older versions."""


VideoRule = Literal["mean", "stretch"]
"""What of a video's frames decides the verdict: their mean, or the highest mean of a few frames one after another."""


class CalibrationSummary(_Part):
    """The figures of a calibration that fit beside every result."""

    temperature: float = Field(gt=0)
    """What the head's own logits were divided by, already part of the weights."""
    bias: float = 0.0
    """What was then added to the log odds of fake, in nats, part of the weights too."""
    max_fpr: float = Field(gt=0, lt=1)
    """Budget of the fake bands: share of real files that may be called fake."""
    max_fnr: float = Field(gt=0, lt=1)
    """Budget of the real bands: share of fakes that may be called real."""


class CalibrationRecord(CalibrationSummary):
    """How scores and bands were calibrated. It holds no date: the same data and options give the same checkpoint."""

    face_detection: bool
    """Whether frames were cropped to their largest face."""
    crop_factor: float | None = _left_out()
    """Side of that crop over the longer side of the face box; left out by older records, as labels and version."""
    fake_labels: tuple[str, ...] | None = _left_out()
    """The labels that counted as fake."""
    fake_when: FakeWhen | None = _left_out()
    """Which end of a single output meant fake; left out for a model with classes."""
    preprocessing_version: int | None = _left_out()
    """Of the pixels that were scored."""
    dataset_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Over the contents and labels of the files."""
    image: BandRecord
    """Of the image bands."""
    video: BandRecord | None = None
    """Of the video bands; None where there were no videos for it and they are the image bands."""
    video_rule: VideoRule = "mean"
    """How a video's frames were put together when the video bands were set, and therefore are for a verdict."""
    notes: tuple[str, ...] = ()
    """What to know when these figures are weighed, one sentence each."""

    def of(self, media_type: MediaType) -> BandRecord:
        """How the bands that decide about this kind of media did."""
        return self.image if media_type is MediaType.IMAGE else self.video or self.image

    def ratios_of(self, media_type: MediaType) -> LikelihoodRatios | None:
        """Those of this kind of media: a mean over frames is worth something else than the score of one picture."""
        record = self.image if media_type is MediaType.IMAGE else self.video
        return record.likelihood_ratio if record else None

    def summary(self) -> CalibrationSummary:
        """The figures that fit beside every result."""
        return CalibrationSummary(
            temperature=self.temperature, bias=self.bias, max_fpr=self.max_fpr, max_fnr=self.max_fnr
        )


class CardFields(_Part):
    """The `model_card` block of a checkpoint's `deepfake.json`; what it does not say stays empty."""

    name: str = Field(default="", max_length=200)
    licence: str = Field(default="", max_length=200)
    purpose: str = Field(default="", max_length=1000)
    limits: str = Field(default="", max_length=2000)
    """Where the model fails."""
    url: str = Field(default="", max_length=500, pattern=r"^(https?://\S+)?$")
    """Where more stands."""


class CardReference(_Part):
    """Which card describes a model and where to read it. What is not known is left out."""

    name: str
    licence: str | None = _left_out()
    sha256: str | None = _left_out()
    """Of the card's text."""
    url: str | None = _left_out()
    route: str | None = _left_out()
    """Where a gateway serves the text."""


class ModelCard(CardFields):
    """The card that came with a checkpoint."""

    sha256: str = ""
    """Of the text, the checkpoint's README.md; "" without one."""
    text: str = ""
    """The text in Markdown; "" without one, or where it is too long to be served."""

    def reference(self) -> CardReference:
        """Which card it is and where to read it."""
        return CardReference(
            name=self.name,
            licence=self.licence or None,
            sha256=self.sha256 or None,
            url=self.url or None,
            route=CARD_ROUTE if self.text else None,
        )


class Resize(_Part):
    """The classifier's own resize."""

    model_config = ConfigDict(extra="allow")

    size_px: int = Field(ge=1)
    """Side of the square that the classifier sees."""
    resample: int = 2
    """Number of Pillow's filter."""
    mode: Literal["exact", "shortest_edge_center_crop"] = "exact"
    """Both sides to `edge_px`, or the shorter one, before the centre is cut out."""
    edge_px: int = 0
    """0 stands for `size_px`."""
    rounded_crop: bool = False
    """Whether the centre crop begins at the nearest pixel, halves to even, or at the one before."""

    def start_of_crop(self, side_px: int) -> int:
        """Where the centre crop begins on a side of this length."""
        rest_px = side_px - self.size_px
        return round(rest_px / 2) if self.rounded_crop else rest_px // 2

    @property
    def edge(self) -> int:
        """`edge_px`, or `size_px` where it is not given."""
        return self.edge_px or self.size_px


class View(_Part):
    """The square of a frame that one of several models is given."""

    model_config = ConfigDict(extra="allow")

    resize: Resize
    crop_factor: float = Field(ge=1, le=10)
    """Side of the crop over the longer side of the face box."""
    whole_image: bool
    """Whether it is always of the whole frame."""


class Preprocess(_Part):
    """What decides which pixels the classifier sees: the release's `preprocess.json`, of which clients read these."""

    model_config = ConfigDict(extra="allow")

    resize: Resize
    face_detection: bool
    """Whether frames are cropped to their largest face."""
    crop_factor: float = Field(ge=1, le=10)
    """Side of that crop over the longer side of the face box."""
    max_pixels: int = Field(ge=1)
    """Largest width x height of a frame that is scored."""
    pipeline_pixels: bool = False
    """Whether colour profiles and transparency are ignored, as transformers' pipelines do."""
    further_views: tuple[View, ...] = Field(default=(), exclude_if=lambda views: not views)
    """What some of several models are given in place of `resize` and `crop_factor`."""

    @property
    def sees_one_crop(self) -> bool:
        """Whether all of a face's score comes from one crop: False where fused models are given different parts."""
        return all(not view.whole_image and view.crop_factor == self.crop_factor for view in self.further_views)

    @property
    def resizes_alike(self) -> bool:
        """Whether all models are given a part of a picture in the same size, cut in the same way."""
        return all(view.resize == self.resize for view in self.further_views)


class Status(_Part):
    """A reason why a frame was not scored, or OK."""

    name: str
    meaning: str


class ModelIdentity(_Part):
    """Which model answered, as results say it."""

    name: str
    release_id: str
    export_id: int
    precision: str
    labels: tuple[str, ...]
    trained: bool
    """False for seeded weights, whose scores mean nothing."""
    notice: str | None = _left_out()
    """To be shown beside every result; left out if there is none."""
    calibration: CalibrationSummary | None = _left_out()
    """Temperature and error budgets of the verdict bands; left out if not calibrated."""
    model_card: CardReference | None = _left_out()
    """Left out if there is none."""


class Member(_Part):
    """One of several models whose scores a release fuses."""

    name: str
    """Hub id or checkpoint name."""
    revision: str = ""
    """The hub's commit; "" for a local checkpoint."""
    architecture: str
    """transformers' class."""
    checkpoint_sha256: str
    """Over the checkpoint's configuration and weights."""
    precision: str
    export_id: int
    """Of the member's own classifier."""
    labels: tuple[str, ...]
    fake_labels: tuple[str, ...]
    scope: Scope
    whole_image: bool
    """Whether it is always given the whole image, never the crop of a face."""
    crop_factor: float = Field(ge=1, le=10)
    """Side of that crop over the longer side of the face box."""
    calibrated: bool
    """Whether its probabilities are those of a calibration."""
    weight: float
    """Of its log-odds in the fused ones."""


class Description(_Part):
    """What the export writes: identity and decision rules of a model. Keys that are not known here are ignored."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)  # evidence reports say `name`

    name: str = Field(alias="model")
    """Hub id or checkpoint name."""
    revision: str = ""
    """The hub's commit; "" for a local checkpoint."""
    architecture: str
    """transformers' class."""
    checkpoint_sha256: str
    """Over the checkpoint's configuration and weights."""
    trained: bool
    """False for seeded weights, whose scores mean nothing."""
    notice: str
    """A sentence to show beside every result, or ""."""
    precision: str
    """fp32, bf16, ..."""
    backend: str
    """Triton's backend of the classifier."""
    export_id: int
    """The constant baked into the graph; every answer carries it."""
    labels: tuple[str, ...]
    """In the order of PROBABILITIES."""
    fake_labels: tuple[str, ...]
    """The labels whose probabilities make the fake probability."""
    other_labels: tuple[str, ...] = ()
    """The labels that mean neither fake nor real, such as no_face."""
    activation: Activation = "softmax"
    """softmax: the probabilities of the fake labels add up; sigmoid: the highest of them is taken."""
    fake_when: FakeWhen | None = _left_out()
    """Of a model with a single output, served as the labels fake and real: which end of it means fake."""
    verdict_bands: ReleaseBands
    scope: Scope = Scope.ANY
    preprocess: Preprocess
    preprocessing_version: int
    """Raised whenever the pixels given to the classifier change."""
    statuses: dict[int, Status]
    """By STATUS code."""
    calibration: CalibrationRecord | None = _left_out()
    """None where the checkpoint was not calibrated."""
    model_card: ModelCard | None = _left_out()
    """None where the checkpoint has none."""
    members: tuple[Member, ...] = Field(default=(), exclude_if=lambda members: not members)
    """Of a release of several models, in the order of `FrameScore.members`; what is said above is of their fusion."""
    fusion_intercept: float | None = _left_out()
    """Log-odds of the fused probability: this and each member's log-odds (natural) times its weight. None without
    members."""

    def has_own_bands(self, media_type: MediaType) -> bool:
        """Whether the bands came with the checkpoint.

        Without a calibration nothing says who chose them: those equal to the defaults count as the defaults.
        """
        return self.calibration is not None or self.verdict_bands.of(media_type) != ReleaseBands().of(media_type)

    def other_probability(self, probabilities: Sequence[float]) -> float | None:
        """0-1, of the labels that mean neither fake nor real; None without such labels.

        Args:
            probabilities: Of each label.
        """
        others = [p for label, p in zip(self.labels, probabilities, strict=True) if label in self.other_labels]
        if not others:
            return None
        return max(others) if self.activation == "sigmoid" else min(sum(others), 1.0)

    @property
    def video_rule(self) -> VideoRule:
        """What of a video's frames decides: the mean, unless the bands were calibrated for something else."""
        return self.calibration.video_rule if self.calibration else "mean"

    def to_json_dict(self) -> dict[str, Any]:
        """As `release.json` holds it."""
        return self.model_dump(mode="json", by_alias=True)


class ModelInfo(Description):
    """The description of a release that answers, with the hash that names it."""

    release_id: str

    @classmethod
    def from_json(cls, text: str) -> "ModelInfo":
        """Reads the description that the ensemble's config carries.

        Raises:
            ModelNotServedError: The text is not such a description.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ModelNotServedError(
                f"the model carries no readable description ({first_fault(error)}); export it again"
            ) from error

    @property
    def version(self) -> str:
        """Short identity for results: name, precision and release."""
        return f"{self.name}@{self.precision}-{self.release_id}"

    def identity(self) -> ModelIdentity:
        """Which model this is, for results and reports."""
        return ModelIdentity(
            name=self.name,
            release_id=self.release_id,
            export_id=self.export_id,
            precision=self.precision,
            labels=self.labels,
            trained=self.trained,
            notice=self.notice or None,
            calibration=self.calibration.summary() if self.calibration else None,
            model_card=self.model_card.reference() if self.model_card else None,
        )

    def status_name(self, code: int) -> str:
        """Name of a STATUS code, `STATUS_<n>` for one that the release does not describe."""
        return self.statuses[code].name if code in self.statuses else f"STATUS_{code}"

    def status_meaning(self, name: str) -> str:
        """The sentence that goes with a status name, or ""."""
        return next((status.meaning for status in self.statuses.values() if status.name == name), "")


class Manifest(_Part):
    """`release.json`: the release's name, its description, and the SHA-256 of every file by its path."""

    release_id: str
    description: Description
    files: dict[str, str]

    def model_info(self) -> ModelInfo:
        """The description as clients of a server read it."""
        return ModelInfo(release_id=self.release_id, **self.description.to_json_dict())


def first_fault(error: ValidationError) -> str:
    """Where a document first departs from its model, and how."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ")
