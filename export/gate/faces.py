"""Face detection in the gate: the direct detector must find what MediaPipe finds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.errors import ParityError
from preprocessing import Box, Face, FaceDetector, FaceFinder

_MAX_OTHER_DECISIONS = 0.002  # share of the pictures
_MIN_IOU = 0.95
_MAX_OTHER_BOXES = 0.01  # share of the pictures with a face, whose largest face has a smaller IoU


@dataclass(frozen=True)
class FaceParity:
    """How the direct detector compares with MediaPipe.

    Attributes:
        pictures: Number of pictures.
        with_face: In how many of them MediaPipe finds a face.
        other_decisions: In how many only one of the two finds a face.
        other_boxes: Where both do: how many have a largest face with an IoU below 0.95.
        min_iou: The smallest of these IoU; 1 where no picture shows a face.
        equal: Pictures with the same boxes to the pixel, all faces counted.
        max_score_difference: Largest |difference| of a face's score in these.
    """

    pictures: int
    with_face: int
    other_decisions: int
    other_boxes: int
    min_iou: float
    equal: int
    max_score_difference: float

    def check(self) -> None:
        """Judges it.

        Raises:
            ParityError: Too many decisions or boxes differ.
        """
        if (
            self.other_decisions > _MAX_OTHER_DECISIONS * self.pictures
            or self.other_boxes > _MAX_OTHER_BOXES * self.with_face
        ):
            raise ParityError(
                f"the direct face detector decides otherwise than MediaPipe on {self.other_decisions} of "
                f"{self.pictures} pictures and places {self.other_boxes} faces elsewhere: "
                "use --face-detector mediapipe (make serve: DEEPFAKE_FACE_DETECTOR=mediapipe)"
            )


def compare_face_detectors(pictures: Iterable[NDArray[np.uint8]], models_dir: Path) -> FaceParity:
    """Has both detectors search pictures.

    Args:
        pictures: (H, W, 3) uint8, RGB, 0-255, C-contiguous each.
        models_dir: Folder with MediaPipe's two model files.
    """
    direct, reference = (FaceFinder(models_dir, detector=detector) for detector in FaceDetector)
    try:
        return face_parity([(direct.faces(picture), reference.faces(picture)) for picture in pictures])
    finally:
        direct.close()
        reference.close()


def face_parity(found: Sequence[tuple[list[Face], list[Face]]]) -> FaceParity:
    """The comparison of what the direct detector and MediaPipe found, one entry a picture."""
    ious = [_iou(ours[0].box, theirs[0].box) for ours, theirs in found if ours and theirs]
    same = [pair for pair in found if [f.box for f in pair[0]] == [f.box for f in pair[1]]]
    differences = [abs(a.score - b.score) for pair in same for a, b in zip(*pair, strict=True)]
    return FaceParity(
        pictures=len(found),
        with_face=sum(bool(theirs) for _, theirs in found),
        other_decisions=sum(bool(ours) != bool(theirs) for ours, theirs in found),
        other_boxes=sum(iou < _MIN_IOU for iou in ious),
        min_iou=min(ious, default=1.0),
        equal=len(same),
        max_score_difference=max(differences, default=0.0),
    )


def _iou(a: Box, b: Box) -> float:
    """The intersection of two boxes over their union."""
    width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a.area + b.area - shared)
