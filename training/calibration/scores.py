"""Logits of labelled files, computed as in serving: by the client's frames, preprocessing, and the checkpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.analysis.judged import is_assessable
from deepfake_client.detector import read_frames
from deepfake_client.errors import DetectionError
from deepfake_client.media import MediaType, identify, open_media
from deepfake_client.pictures import Box
from evaluation.dataset import Dataset, Label, LabelledFile
from export.checkpoint.load import Checkpoint
from export.checkpoint.torch_scores import open_preparer, torch_logits
from preprocessing import ImageRejectedError, Preparer
from training.calibration.units import ScoredMedia


@dataclass(frozen=True)
class UnscoredMedia:
    """A file that has no score, and why."""

    name: str
    reason: str


def score_media(
    checkpoint: Checkpoint,
    dataset: Dataset,
    persons: Mapping[str, str],
    *,
    face_detection: bool = True,
    rules: FaceRules | None = None,
    cache_dir: Path | None = None,
) -> Iterator[ScoredMedia | UnscoredMedia]:
    """Scores each file in order as a service in fp32 does, one item a file.

    Args:
        checkpoint: The loaded checkpoint.
        dataset: The files.
        persons: Who is in them, by name.
        face_detection: Off: whole frames are scored.
        rules: Which faces of a frame are scored; of a fake frame with several faces nobody says which are forged. Every
            face by default.
        cache_dir: Where the face models are kept; the assets' own default if None.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    with open_preparer(checkpoint, face_detection=face_detection, cache_dir=cache_dir) as preparer:
        for file in dataset.files:
            yield _score(checkpoint, preparer, file, persons.get(file.name, ""), rules or FaceRules())


def _score(
    checkpoint: Checkpoint, preparer: Preparer, file: LabelledFile, person: str, rules: FaceRules
) -> ScoredMedia | UnscoredMedia:
    is_fake, reason = file.label is Label.FAKE, "it has no frame"
    squares: list[NDArray[np.uint8]] = []
    boxes_px: list[tuple[Box, ...]] = []
    sketches: list[bytes] = []
    try:
        with open_media(file.path) as stream:
            media = identify(stream, file.name)
            frames = read_frames(media)
    except DetectionError as error:
        return UnscoredMedia(file.name, str(error))
    for frame in frames:
        try:
            found, boxes = _squares(preparer, frame.encoded, rules)
        except ImageRejectedError as error:
            reason = str(error)
            continue
        if is_fake and len(found) > 1:
            reason = "every frame of this fake shows several faces: cut out the forged one, or give --faces largest"
            continue
        squares += found
        boxes_px.append(boxes)
        sketches.append(frame.sketch)
    if not squares:
        return UnscoredMedia(file.name, reason)
    logits = checkpoint.head.softmax_logits(torch_logits(checkpoint, np.stack(squares)))
    sides_px = [min(x1 - x0, y1 - y0) for boxes in boxes_px for x0, y0, x1, y1 in boxes]
    return ScoredMedia(
        file.name,
        is_fake,
        media.format.media_type is MediaType.VIDEO,
        logits,
        person=person,
        assessable=is_assessable(checkpoint.sidecar.scope, preparer.params.face_detection, sides_px),
        boxes_px=None if rules.choice is FaceChoice.LARGEST else tuple(boxes_px),
        sketches=tuple(sketches),
    )


def _squares(preparer: Preparer, encoded: bytes, rules: FaceRules) -> tuple[list[NDArray[np.uint8]], tuple[Box, ...]]:
    """What the classifier gets of one frame: each face that is scored, with their boxes, or the whole frame."""
    first = preparer.prepare(encoded)
    boxes = [face.box for face in first.faces]
    boxes = [boxes[number] for number in rules.scored([min(box.width, box.height) for box in boxes])]
    squares = [first.pixels, *(preparer.prepare(encoded, box).pixels for box in boxes[1:])]
    return squares, tuple((box.x0, box.y0, box.x1, box.y1) for box in boxes)
