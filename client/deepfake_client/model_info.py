"""What a served release says about itself: read from the server, or from an exported directory."""

import json
from dataclasses import dataclass
from typing import Any

from deepfake_client.errors import ModelNotServedError
from deepfake_client.model_documents import CalibrationInfo, ModelCard

DESCRIPTION_PARAMETER = "deepfake_serving"
"""Name of the ensemble's config parameter (and of nothing else) that carries the description as JSON."""


@dataclass(frozen=True)
class VerdictBands:
    """Fake above `fake_above`, real below `real_below`, uncertain between; both are fake probabilities (0-1)."""

    real_below: float
    fake_above: float


DEFAULT_IMAGE_BANDS = VerdictBands(real_below=0.3, fake_above=0.7)
"""Bands of single images where the checkpoint ships none of its own."""

DEFAULT_VIDEO_BANDS = VerdictBands(real_below=0.4, fake_above=0.6)
"""Bands of videos where the checkpoint ships none of its own."""


@dataclass(frozen=True)
class ModelInfo:
    """Identity and decision rules of the model that answers.

    Attributes:
        name: Hub id or checkpoint name.
        release_id: Hash that names the immutable release.
        export_id: The constant baked into the graph; every answer carries it.
        precision: fp32, bf16, ...
        labels: In the order of PROBABILITIES.
        image_size_px: Side of the classifier's input.
        face_detection: Whether frames are cropped to the largest face.
        trained: False for seeded weights, whose scores mean nothing.
        notice: A sentence to show beside every result, or "".
        image_bands: Verdict bands of single images.
        video_bands: Verdict bands of videos.
        statuses: STATUS code -> (name, meaning).
        fake_labels: The labels whose probabilities add up to the fake probability; () where the release does not say.
        checkpoint_sha256: Of the checkpoint's files, "" where the release does not say.
        preprocessing_version: Raised whenever the pixels given to the classifier change; None if not said.
        crop_factor: Side of the crop over the longer side of the face box; None if not said.
        max_image_pixels: Largest width x height of a frame that is scored; None if not said.
        calibration: How scores and bands were calibrated; None where the checkpoint does not say.
        model_card: The checkpoint's card; None where it has none.
    """

    name: str
    release_id: str
    export_id: int
    precision: str
    labels: tuple[str, ...]
    image_size_px: int
    face_detection: bool
    trained: bool
    notice: str
    image_bands: VerdictBands
    video_bands: VerdictBands
    statuses: dict[int, tuple[str, str]]
    fake_labels: tuple[str, ...] = ()
    checkpoint_sha256: str = ""
    preprocessing_version: int | None = None
    crop_factor: float | None = None
    max_image_pixels: int | None = None
    calibration: CalibrationInfo | None = None
    model_card: ModelCard | None = None

    @classmethod
    def from_json(cls, text: str) -> "ModelInfo":
        """Reads the description that the export wrote.

        Raises:
            ModelNotServedError: The text is not such a description.
        """
        try:
            return cls._from_dict(json.loads(text))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelNotServedError(
                f"the model carries no readable description ({type(error).__name__}: {error}); export it again"
            ) from error

    @classmethod
    def _from_dict(cls, values: dict[str, Any]) -> "ModelInfo":
        bands = values["verdict_bands"]
        preprocess = values["preprocess"]
        calibration, card = values.get("calibration"), values.get("model_card")
        return cls(
            name=values["model"],
            release_id=values["release_id"],
            export_id=int(values["export_id"]),
            precision=values["precision"],
            labels=tuple(values["labels"]),
            image_size_px=int(preprocess["resize"]["size_px"]),
            face_detection=bool(preprocess["face_detection"]),
            trained=bool(values["trained"]),
            notice=values["notice"],
            image_bands=VerdictBands(**bands["image"]),
            video_bands=VerdictBands(**bands["video"]),
            statuses={int(code): (row["name"], row["meaning"]) for code, row in values["statuses"].items()},
            # Not every release says these.
            fake_labels=tuple(values.get("fake_labels", ())),
            checkpoint_sha256=values.get("checkpoint_sha256", ""),
            preprocessing_version=values.get("preprocessing_version"),
            crop_factor=preprocess.get("crop_factor"),
            max_image_pixels=preprocess.get("max_pixels"),
            calibration=None if calibration is None else CalibrationInfo.from_dict(calibration),
            model_card=None if card is None else ModelCard.from_dict(card),
        )

    @property
    def version(self) -> str:
        """Short identity for results: name, precision and release."""
        return f"{self.name}@{self.precision}-{self.release_id}"

    def status_name(self, code: int) -> str:
        """Name of a STATUS code, `STATUS_<n>` for one the server did not describe."""
        return self.statuses.get(code, (f"STATUS_{code}", ""))[0]

    def status_meaning(self, name: str) -> str:
        """The sentence that goes with a status name, or ""."""
        return next((meaning for known, meaning in self.statuses.values() if known == name), "")


def release_id_of(version: str) -> str:
    """The release that a `ModelInfo.version` names."""
    return version.rpartition("-")[2]
