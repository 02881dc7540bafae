"""Logits of labelled files, computed as in serving: by the client's frames, preprocessing, and the checkpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfake_client.analysis.faces import FaceRules
from deepfake_client.analysis.findings import is_assessable
from deepfake_client.detector import read_frames
from deepfake_client.errors import DetectionError
from deepfake_client.media import MediaType, identify, open_media
from evaluation.dataset import Dataset, Label, LabelledFile
from export.checkpoint.load import Checkpoint
from export.checkpoint.torch_scores import open_preparer, torch_logits
from preprocessing import ImageRejectedError, Preparer
from training.calibration.calibration import ScoredMedia


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
    is_fake, squares, numbers, reason = file.label is Label.FAKE, [], [], "it has no frame"
    sides_px: list[float] = []
    try:
        with open_media(file.path) as stream:
            media = identify(stream, file.name)
            frames = read_frames(media)
    except DetectionError as error:
        return UnscoredMedia(file.name, str(error))
    for number, frame in enumerate(frames):
        try:
            found, sides = _squares(preparer, frame.encoded, rules)
        except ImageRejectedError as error:
            reason = str(error)
            continue
        if is_fake and len(found) > 1:
            reason = "every frame of this fake shows several faces: cut out the forged one, or give --faces largest"
            continue
        squares += found
        sides_px += sides
        numbers += [number] * len(found)
    if not squares:
        return UnscoredMedia(file.name, reason)
    logits = torch_logits(checkpoint, np.stack(squares))
    return ScoredMedia(
        file.name,
        is_fake,
        media.format.media_type is MediaType.VIDEO,
        logits,
        person=person,
        assessable=is_assessable(checkpoint.sidecar.scope, preparer.params.face_detection, sides_px),
        frames=tuple(numbers),
    )


def _squares(preparer: Preparer, encoded: bytes, rules: FaceRules) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """What the classifier gets of one frame, each face that is scored or the whole frame, and all faces' sides."""
    first = preparer.prepare(encoded)
    boxes = [face.box for face in first.faces]
    sides_px = [min(box.width, box.height) for box in boxes]
    further = [preparer.prepare(encoded, boxes[number]).pixels for number in rules.scored(sides_px)[1:]]
    return [first.pixels, *further], sides_px
