"""Face detection in the gate: the direct detector must find what MediaPipe found in the same pictures.

MediaPipe's answers are recorded: it would cost every export a second, and asks the network at each start. Made again
by `python -m export.gate.faces`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from export.errors import ParityError
from export.gate.images import judging_photos, varied_images
from preprocessing import Box, Face, FaceDetector, FaceFinder

_RECORDED = Path(__file__).parent / "mediapipe_faces.json"
_GENERATED, _PHOTOS = "generated", "photos"
_PICTURES = {_GENERATED: 32, _PHOTOS: 64}
"""How many are recorded."""

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


def compare_with_mediapipe(models_dir: Path, generated: int, photos: int, cache_dir: Path | None = None) -> FaceParity:
    """Has the direct detector search the gate's pictures, as far as MediaPipe's answers are recorded.

    Args:
        models_dir: Folder with MediaPipe's two model files.
        generated: How many generated pictures.
        photos: How many photographs.
        cache_dir: Where fetched files are kept; the assets' own default if None.
    """
    recorded = json.loads(_RECORDED.read_text(encoding="utf-8"))
    finder = FaceFinder(models_dir)
    found = []
    try:
        for kind, count in ((_GENERATED, generated), (_PHOTOS, photos)):
            theirs = [[Face(Box(*box), score) for *box, score in faces] for faces in recorded[kind]]
            pictures = _pictures(kind, min(count, len(theirs)), cache_dir)
            found += [
                (finder.faces(np.array(picture)), faces) for picture, faces in zip(pictures, theirs, strict=False)
            ]
    finally:
        finder.close()
    return face_parity(found)


def _pictures(kind: str, count: int, cache_dir: Path | None = None) -> Iterator[Image.Image]:
    if not count:
        return iter(())
    return varied_images(count) if kind == _GENERATED else islice(judging_photos(count, cache_dir), count)


def mediapipe_answers() -> dict[str, list[list[tuple[float, ...]]]]:
    """By kind, of each picture the faces that MediaPipe finds, as x0, y0, x1, y1 in pixels and score (0-1)."""
    models_dir = next(iter(fetch_assets(FACE_MODELS).values())).parent
    finder = FaceFinder(models_dir, detector=FaceDetector.MEDIAPIPE)
    try:
        return {
            kind: [
                [(f.box.x0, f.box.y0, f.box.x1, f.box.y1, round(f.score, 6)) for f in finder.faces(np.array(picture))]
                for picture in _pictures(kind, count)
            ]
            for kind, count in _PICTURES.items()
        }
    finally:
        finder.close()


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


if __name__ == "__main__":
    _RECORDED.write_text(json.dumps(mediapipe_answers()) + "\n", encoding="utf-8")
