"""What a calibration says about a checkpoint: the `calibration` block of `deepfake.json` and of a release."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Block):
    """A share (0-1) and its 95% bootstrap interval; the ends are None where no resample gave one."""

    value: float = Field(ge=0, le=1)
    low: float | None = Field(default=None, ge=0, le=1)
    high: float | None = Field(default=None, ge=0, le=1)


class BandRecord(_Block):
    """How the bands of images, or of videos, did on the material they were set on.

    Attributes:
        unit: What was judged: `images`, `frames` of videos (each video counts once), or `videos` (mean over frames).
        real: Real files.
        fake: Fake files.
        persons: Persons or other groups that the intervals are drawn over; None where nothing says who is who.
        auc: Area under the ROC curve.
        ece_before: Expected calibration error of the fake probability before the temperature.
        ece_after: The same after it.
        fpr: Share of the real ones called fake.
        fpr_upper: One-sided 95% upper bound of it (Clopper and Pearson), taking files as independent.
        fnr: Share of the fakes called real.
        fnr_upper: One-sided 95% upper bound of it.
        tpr: Share of the fakes called fake.
        uncertain: Share of all files between the bands.
    """

    unit: Literal["images", "frames", "videos"]
    real: int = Field(ge=1)
    fake: int = Field(ge=1)
    persons: int | None = Field(default=None, ge=1)
    auc: float = Field(ge=0, le=1)
    ece_before: float = Field(ge=0, le=1)
    ece_after: float = Field(ge=0, le=1)
    fpr: float = Field(ge=0, le=1)
    fpr_upper: float = Field(ge=0, le=1)
    fnr: float = Field(ge=0, le=1)
    fnr_upper: float = Field(ge=0, le=1)
    tpr: Interval
    uncertain: float = Field(ge=0, le=1)


class CalibrationRecord(_Block):
    """A calibration; it holds no date, so the same data and options give the same checkpoint.

    Attributes:
        temperature: What the head's own logits were divided by, already part of the weights.
        max_fpr: Budget of the fake bands: share of real files that may be called fake.
        max_fnr: Budget of the real bands: share of fakes that may be called real.
        face_detection: Whether frames were cropped to their largest face.
        dataset_sha256: Over the contents and labels of the files.
        image: Of the image bands.
        video: Of the video bands; None where there were no videos for it and they are the image bands.
        notes: What to know when these figures are weighed, one sentence each.
    """

    temperature: float = Field(gt=0)
    max_fpr: float = Field(gt=0, lt=1)
    max_fnr: float = Field(gt=0, lt=1)
    face_detection: bool
    dataset_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    image: BandRecord
    video: BandRecord | None = None
    notes: tuple[str, ...] = ()
