"""Logits of labelled files, computed as in serving: by the client's frames, preprocessing, and the checkpoints."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
from export.checkpoint.load import Checkpoint
from export.checkpoint.torch_scores import open_preparer, torch_logits
from preprocessing import WHOLE_PICTURE, Box, ImageRejectedError, PreparedImage, Preparer
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


@dataclass(frozen=True)
class View:
    """What a member sees of images."""

    member: Member
    preparer: Preparer

    def squares(self, encoded: bytes, boxes: Sequence[Box], searched: PreparedImage | None = None) -> Squares:
        """One a face; one of the whole image where there is no face.

        Args:
            encoded: The image file.
            boxes: Its faces.
            searched: What this view's preparer made of it when it searched the faces.
        """
        if self.member.whole_image:
            return [self.preparer.prepare(encoded, WHOLE_PICTURE).pixels] * max(len(boxes), 1)
        first = searched or self.preparer.prepare(encoded, boxes[0] if boxes else WHOLE_PICTURE)
        return [first.pixels, *(self.preparer.prepare(encoded, box).pixels for box in boxes[1:])]


@contextmanager
def open_views(
    members: Sequence[Member], *, face_detection: bool = True, cache_dir: Path | None = None
) -> Iterator[list[View]]:
    """The views of the members. The first one searches the faces for all; see `open_preparer`."""
    with ExitStack() as stack:
        yield [
            View(
                member,
                stack.enter_context(
                    open_preparer(member.checkpoint, face_detection=face_detection and number == 0, cache_dir=cache_dir)
                ),
            )
            for number, member in enumerate(members)
        ]


def squares_of(views: Sequence[View], encoded: bytes, rules: FaceRules) -> tuple[list[Squares], tuple[Box, ...]]:
    """What each member is given of an image: each face that is scored, with their boxes, or the whole image.

    Raises:
        ImageRejectedError: The image cannot be prepared.
    """
    searched = views[0].preparer.prepare(encoded)
    boxes = [face.box for face in searched.faces]
    boxes = [boxes[number] for number in rules.scored([min(box.width, box.height) for box in boxes])]
    squares = [view.squares(encoded, boxes, None if number else searched) for number, view in enumerate(views)]
    return squares, tuple(boxes)


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
    with open_views(members, face_detection=face_detection, cache_dir=cache_dir) as views:
        for file in dataset.files:
            yield _score(views, file, persons.get(file.name, ""), rules or FaceRules())


def _score(
    views: Sequence[View], file: LabelledFile, person: str, rules: FaceRules
) -> tuple[ScoredMedia, ...] | UnscoredMedia:
    is_fake, reason = file.label is Label.FAKE, "it has no frame"
    squares: list[Squares] = [[] for _ in views]
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
            found, boxes = squares_of(views, frame.encoded, rules)
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
    searches = views[0].preparer.params.face_detection
    return tuple(
        ScoredMedia(
            file.name,
            is_fake,
            media.format.media_type is MediaType.VIDEO,
            view.member.checkpoint.head.softmax_logits(torch_logits(view.member.checkpoint, np.stack(own))),
            person=person,
            assessable=is_assessable(view.member.checkpoint.sidecar.scope, searches, sides_px),
            boxes_px=None if rules.choice is FaceChoice.LARGEST else tuple(boxes_px),
            sketches=tuple(sketches),
        )
        for view, own in zip(views, squares, strict=True)
    )
