"""Has every face of the frames scored: the largest with its frame, each further one by its box."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepfake_client.errors import ServerUnavailableError
from deepfake_client.media import TextEnum
from deepfake_client.scorer import MAX_FACES, MIN_FACE_PX, Deadline, FrameScore, FrameScorer, Scoring

_ROUNDS = 3
"""How often the scores of all faces are asked of one release, while it is being replaced."""


class FaceChoice(TextEnum):
    """Which faces decide."""

    EVERY = "every"
    """Every face is scored, and the most suspicious person decides the verdict."""
    LARGEST = "largest"
    """Only the largest face of a frame is scored."""
    MOST_SUSPICIOUS = "most_suspicious"
    """As every, and the ten scores take each frame's most suspicious face in place of its largest."""


@dataclass(frozen=True)
class FaceRules:
    """Which faces are scored.

    Attributes:
        choice: All, or the largest of a frame.
        min_face_px: Shorter side of the smallest further face that is scored. The largest one always is.
        max_faces: Most faces of a frame that are scored.
    """

    choice: FaceChoice = FaceChoice.EVERY
    min_face_px: float = MIN_FACE_PX
    max_faces: int = MAX_FACES

    def scored(self, shorter_sides_px: Sequence[float]) -> list[int]:
        """Numbers of the faces that are scored, from the shorter side of each face of a frame, the largest first."""
        most = 1 if self.choice is FaceChoice.LARGEST else self.max_faces
        sides = enumerate(shorter_sides_px[:most])
        return [number for number, side_px in sides if number == 0 or side_px >= self.min_face_px]


def score_every_face(
    scorer: FrameScorer, images: Sequence[bytes], deadline: Deadline, request_id: str, rules: FaceRules
) -> Scoring:
    """As `FrameScorer.score`, with the scores of all faces that the rules name, all by one release.

    A frame with one face costs what it costs there. Each further face costs one more image.
    """
    for _ in range(_ROUNDS):
        first = scorer.score(images, deadline, request_id)
        places = [(i, number) for i, score in enumerate(first.scores) for number in _further_faces(score, rules)]
        if not places:
            return first
        boxes_px = [first.scores[i].faces[number].box_px for i, number in places]
        further = scorer.score([images[i] for i, _ in places], deadline, request_id, boxes_px)
        if further.info.release_id == first.info.release_id:
            found = dict(zip(places, further.scores, strict=True))
            return Scoring(first.info, [_with_further(score, i, found) for i, score in enumerate(first.scores)])
    raise ServerUnavailableError("the servers change their release, and no one scored all faces")


def _further_faces(score: FrameScore, rules: FaceRules) -> list[int]:
    """Numbers of the faces that are scored besides the largest."""
    if score.fake_probability is None:
        return []
    return rules.scored([face.shorter_side_px for face in score.faces])[1:]


def _with_further(score: FrameScore, i: int, found: dict[tuple[int, int], FrameScore]) -> FrameScore:
    faces = (
        replace(face, fake_probability=own.fake_probability, members=own.members)
        if (own := found.get((i, number)))
        else face
        for number, face in enumerate(score.faces)
    )
    return replace(score, faces=tuple(faces))
