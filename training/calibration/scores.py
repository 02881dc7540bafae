"""Logits of labelled files, computed as in serving: by the client's frames, preprocessing, and the checkpoints."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.analysis.judged import is_assessable
from deepfake_client.detector import read_frames
from deepfake_client.errors import DetectionError
from deepfake_client.media import MediaType, identify, open_media
from deepfake_client.pictures import Box as BoxPx
from evaluation.dataset import Dataset, Label, LabelledFile
from export.checkpoint.fusion import Sources
from export.checkpoint.head import Labelling
from export.checkpoint.load import Checkpoint, load_checkpoint
from export.checkpoint.torch_scores import open_preparer, torch_logits
from preprocessing import Box, ImageRejectedError, Preparer, View
from training.calibration.units import ScoredMedia

Squares = list[NDArray[np.uint8]]
"""Each (S, S, 3) uint8, RGB."""


@dataclass(frozen=True)
class UnscoredMedia:
    """A file that has no score, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Member:
    """A checkpoint that scores, alone or with others.

    Attributes:
        checkpoint: The loaded checkpoint.
        whole_image: Whether it is given the whole image, never the crop of a face.
    """

    checkpoint: Checkpoint
    whole_image: bool = False


def load_members(sources: Sources, said: Labelling) -> list[Member]:
    """Loads one checkpoint or several.

    Raises:
        CheckpointError: One cannot be loaded.
        LabelError: What is said of their outputs fits none of them.
    """
    pairs = zip(sources.members, sources.labellings(said), strict=True)
    members = [Member(load_checkpoint(one.located, labelling), one.whole_image) for one, labelling in pairs]
    said.require_used([member.checkpoint.head for member in members])
    return members


@contextmanager
def open_views(
    members: Sequence[Member], *, face_detection: bool = True, cache_dir: Path | None = None
) -> Iterator[Preparer]:
    """One preparer for all members: what each of several is given are its further views; see `open_preparer`."""
    views = tuple(
        View(member.checkpoint.resize, member.checkpoint.sidecar.crop_factor, member.whole_image) for member in members
    )
    with open_preparer(
        members[0].checkpoint,
        face_detection=face_detection,
        further_views=views if len(views) > 1 else (),
        cache_dir=cache_dir,
    ) as preparer:
        yield preparer


def squares_of(preparer: Preparer, encoded: bytes, rules: FaceRules) -> tuple[list[Squares], tuple[Box, ...]]:
    """What each member is given of an image: a square for each face that is scored, with their boxes, or one for none.

    Raises:
        ImageRejectedError: The image cannot be prepared.
    """
    first = preparer.prepare(encoded)
    boxes = [face.box for face in first.faces]
    boxes = [boxes[number] for number in rules.scored([min(box.width, box.height) for box in boxes])]
    prepared = [first, *(preparer.prepare(encoded, box) for box in boxes[1:])]
    squares = zip(*(one.further or (one.pixels,) for one in prepared), strict=True)
    return [list(of_member) for of_member in squares], tuple(boxes)


def score_media(
    checkpoint: Checkpoint,
    dataset: Dataset,
    persons: Mapping[str, str],
    *,
    face_detection: bool = True,
    rules: FaceRules | None = None,
    cache_dir: Path | None = None,
) -> Iterator[ScoredMedia | UnscoredMedia]:
    """As `score_members` with one member."""
    for item in score_members(
        [Member(checkpoint)], dataset, persons, face_detection=face_detection, rules=rules, cache_dir=cache_dir
    ):
        yield item if isinstance(item, UnscoredMedia) else item[0]


def score_members(
    members: Sequence[Member],
    dataset: Dataset,
    persons: Mapping[str, str],
    *,
    face_detection: bool = True,
    rules: FaceRules | None = None,
    cache_dir: Path | None = None,
) -> Iterator[tuple[ScoredMedia, ...] | UnscoredMedia]:
    """Scores each file in order as a service in fp32 does: by every member, or not at all.

    Args:
        members: The checkpoints. All score the same faces of the same frames.
        dataset: The files.
        persons: Who is in them, by name.
        face_detection: Off: whole frames are scored.
        rules: Which faces of a frame are scored; of a fake frame with several faces nobody says which are forged. Every
            face by default.
        cache_dir: Where the face models are kept; the assets' own default if None.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    with open_views(members, face_detection=face_detection, cache_dir=cache_dir) as preparer:
        for file in dataset.files:
            yield _score(members, preparer, file, persons.get(file.name, ""), rules or FaceRules())


def _score(
    members: Sequence[Member], preparer: Preparer, file: LabelledFile, person: str, rules: FaceRules
) -> tuple[ScoredMedia, ...] | UnscoredMedia:
    is_fake, reason = file.label is Label.FAKE, "it has no frame"
    squares: list[Squares] = [[] for _ in members]
    boxes_px: list[tuple[BoxPx, ...]] = []
    sketches: list[bytes] = []
    try:
        with open_media(file.path) as stream:
            media = identify(stream, file.name)
            frames = read_frames(media)
    except DetectionError as error:
        return UnscoredMedia(file.name, str(error))
    for frame in frames:
        try:
            found, boxes = squares_of(preparer, frame.encoded, rules)
        except ImageRejectedError as error:
            reason = str(error)
            continue
        if is_fake and len(boxes) > 1:
            reason = "every frame of this fake shows several faces: cut out the forged one, or give --faces largest"
            continue
        for own, of_frame in zip(squares, found, strict=True):
            own += of_frame
        boxes_px.append(tuple((box.x0, box.y0, box.x1, box.y1) for box in boxes))
        sketches.append(frame.sketch)
    if not sketches:
        return UnscoredMedia(file.name, reason)
    sides_px = [min(x1 - x0, y1 - y0) for boxes_of in boxes_px for x0, y0, x1, y1 in boxes_of]
    searches = preparer.params.face_detection
    return tuple(
        ScoredMedia(
            file.name,
            is_fake,
            media.format.media_type is MediaType.VIDEO,
            member.checkpoint.head.softmax_logits(torch_logits(member.checkpoint, np.stack(own))),
            person=person,
            assessable=is_assessable(member.checkpoint.sidecar.scope, searches, sides_px),
            boxes_px=None if rules.choice is FaceChoice.LARGEST else tuple(boxes_px),
            sketches=tuple(sketches),
        )
        for member, own in zip(members, squares, strict=True)
    )
