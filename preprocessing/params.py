"""The parameters of preprocessing: stored with a release, equal wherever its images are prepared."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

PREPROCESSING_VERSION = 4
"""Raised whenever the pixels, box or score of any accepted image could change; releases record it.

Faster decoders and turns that are equal bit for bit, as tests/preprocessing proves of the present ones, leave it alone.
"""

CALIBRATIONS_SINCE = 3
"""The first version with which a calibration may have been made that still holds: what changed since moves scores by
less than a calibration can tell. Raise it with the version where that is not so (version 4: |dp| below 0.005)."""


class ResizeMode(StrEnum):
    """How an image becomes a square of the classifier's size."""

    EXACT = "exact"
    """Resize both sides to `edge_px`, whatever the aspect ratio, then cut the centre (SigLIP, ViT, BEiT)."""

    SHORTEST_EDGE_CENTER_CROP = "shortest_edge_center_crop"
    """Resize the shorter side to `edge_px`, then cut the centre square (CLIP, DINOv2)."""


@dataclass(frozen=True)
class ResizeSpec:
    """The checkpoint's own resize.

    Attributes:
        size_px: Side of the square given to the classifier.
        resample: Pillow's filter number (`PIL.Image.Resampling`); 2 is bilinear.
        mode: See `ResizeMode`.
        edge_px: Length of the shorter side before the centre crop; by default `size_px`: nothing is cut.
        rounded_crop: Whether the centre crop begins at the nearest pixel, halves to even (torchvision), or at the one
            before (transformers).
    """

    size_px: int
    resample: int = 2
    mode: ResizeMode = ResizeMode.EXACT
    edge_px: int = 0
    rounded_crop: bool = False

    def __post_init__(self) -> None:
        if self.edge_px == 0:
            object.__setattr__(self, "edge_px", self.size_px)
        if self.size_px < 1 or self.edge_px < self.size_px:
            raise ValueError(f"resize of {self.edge_px} px cannot give a square of {self.size_px} px")


@dataclass(frozen=True)
class View:
    """The square of an image that one of several classifiers is given.

    Attributes:
        resize: The checkpoint's own resize.
        crop_factor: Side of the crop over the longer side of the face box.
        whole_image: Whether it is always of the whole image.
    """

    resize: ResizeSpec
    crop_factor: float = 1.3
    whole_image: bool = False


class FaceDetector(StrEnum):
    """What runs MediaPipe's two face models."""

    DIRECT = "direct"
    """OpenVINO: the same boxes for less processor time."""

    MEDIAPIPE = "mediapipe"
    """MediaPipe itself: the reference."""


@dataclass(frozen=True)
class PreprocessParams:
    """Everything that decides which pixels the classifier sees.

    Attributes:
        resize: The checkpoint's own resize.
        face_detection: Off: the whole image is always given to the classifier.
        face_detector: What runs the face models.
        crop_factor: Side of the crop over the longer side of the face box.
        min_face_score: Detections below this score (0-1) are no face.
        max_bytes: Largest encoded image.
        max_pixels: Largest width x height, read from the header before decoding.
        pipeline_pixels: Whether colour profiles and transparency are ignored, as transformers' pipelines do.
        further_views: What other classifiers are given of the same image.
    """

    resize: ResizeSpec = field(default_factory=lambda: ResizeSpec(224))
    face_detection: bool = True
    face_detector: FaceDetector = FaceDetector.DIRECT
    crop_factor: float = 1.3
    min_face_score: float = 0.5
    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000
    pipeline_pixels: bool = False
    further_views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        if not 1.0 <= self.crop_factor <= 10.0:
            raise ValueError(f"crop_factor {self.crop_factor} is outside 1-10")

    @property
    def views(self) -> tuple[View, ...]:
        """The squares that are made of an image; that of `resize` and `crop_factor` is the first."""
        return (View(self.resize, self.crop_factor), *self.further_views)

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON-ready values; views are left out where there are no further ones."""
        values = asdict(self)
        if not self.further_views:
            del values["further_views"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PreprocessParams":
        """The inverse of `to_dict`. Raises TypeError or ValueError on unknown or impossible values."""
        given: dict[str, Any] = {
            "resize": _resize(values["resize"]),
            "face_detector": FaceDetector(values["face_detector"]),
            "further_views": tuple(
                View(**{**view, "resize": _resize(view["resize"])}) for view in values.get("further_views", ())
            ),
        }
        return cls(**{**values, **given})

    @classmethod
    def load(cls, path: Path) -> "PreprocessParams":
        """Reads the `preprocess.json` of a release."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))


def _resize(values: dict[str, Any]) -> ResizeSpec:
    return ResizeSpec(**{**values, "mode": ResizeMode(values["mode"])})
