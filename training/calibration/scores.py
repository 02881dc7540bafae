"""Logits of labelled files, computed as in serving: by the client's frames, preprocessing, and the checkpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
    cache_dir: Path | None = None,
) -> Iterator[ScoredMedia | UnscoredMedia]:
    """Scores each file in order as a service in fp32 does, one item a file.

    Args:
        checkpoint: The loaded checkpoint.
        dataset: The files.
        persons: Who is in them, by name.
        face_detection: Off: whole frames are scored.
        cache_dir: Where the face models are kept; the assets' own default if None.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    with open_preparer(checkpoint, face_detection=face_detection, cache_dir=cache_dir) as preparer:
        for file in dataset.files:
            yield _score(checkpoint, preparer, file, persons.get(file.name, ""))


def _score(checkpoint: Checkpoint, preparer: Preparer, file: LabelledFile, person: str) -> ScoredMedia | UnscoredMedia:
    squares, reason = [], "it has no frame"
    sides_px: list[float] = []
    try:
        with open_media(file.path) as stream:
            media = identify(stream, file.name)
            frames = read_frames(media)
    except DetectionError as error:
        return UnscoredMedia(file.name, str(error))
    for frame in frames:
        try:
            prepared = preparer.prepare(frame.encoded)
        except ImageRejectedError as error:
            reason = str(error)
            continue
        squares.append(prepared.pixels)
        sides_px += [min(face.box.width, face.box.height) for face in prepared.faces]
    if not squares:
        return UnscoredMedia(file.name, reason)
    logits = torch_logits(checkpoint, np.stack(squares))
    return ScoredMedia(
        file.name,
        file.label is Label.FAKE,
        media.format.media_type is MediaType.VIDEO,
        logits,
        person=person,
        assessable=is_assessable(checkpoint.sidecar.scope, preparer.params.face_detection, sides_px),
    )
