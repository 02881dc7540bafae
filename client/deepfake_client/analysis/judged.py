"""A detection, as far as the rules for findings look at it, and whether the model can judge it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepfake_client.analysis.media_facts import MediaFacts
from deepfake_client.analysis.members import ModelScore
from deepfake_client.analysis.people import People, Person
from deepfake_client.analysis.segments import Segment
from deepfake_client.media import MediaType
from deepfake_client.release import ModelInfo, Scope, VerdictBands
from deepfake_client.scorer import MIN_FACE_PX, OK, FrameScore
from deepfake_client.scores import MediaScores


@dataclass(frozen=True)
class Judged:
    """A detection, as far as the rules look at it.

    Attributes:
        model: The release that answered.
        media_type: Image or video.
        frames: The scores of all sampled frames.
        fake_probability: 0-1, that decides the verdict.
        scores: Risk scores, 0-100.
        facts: Of the media.
        people: Whose faces were scored.
        suspect: The person who decides the verdict; None where the largest faces or whole pictures do.
        p_largest: What the largest faces alone say, 0-1.
        segments: Stretches of a video above the fake band.
        min_face_px: Shorter side of the smallest face that a release for faces can judge.
        models: What each of several models says in place of `fake_probability`.
    """

    model: ModelInfo
    media_type: MediaType
    frames: Sequence[FrameScore]
    fake_probability: float
    scores: MediaScores
    facts: MediaFacts
    people: People
    suspect: Person | None
    p_largest: float
    segments: Sequence[Segment] = ()
    min_face_px: float = MIN_FACE_PX
    models: Sequence[ModelScore] = ()

    @property
    def is_video(self) -> bool:
        """Or an image."""
        return self.media_type is MediaType.VIDEO

    @property
    def scored(self) -> list[FrameScore]:
        """The frames that were scored."""
        return [frame for frame in self.frames if frame.status == OK]

    @property
    def bands(self) -> VerdictBands:
        """That decide the verdict."""
        return self.model.verdict_bands.of(self.media_type)

    @property
    def face_sides_px(self) -> list[float]:
        """Shorter side of the largest face of each scored frame that has one."""
        return [frame.faces[0].shorter_side_px for frame in self.scored if frame.faces]

    @property
    def assessable(self) -> bool:
        """See `is_assessable`."""
        sides_px = (face.shorter_side_px for frame in self.scored for face in frame.faces)
        return is_assessable(self.model.scope, self.model.preprocess.face_detection, sides_px, self.min_face_px)


def is_assessable(
    scope: Scope, face_detection: bool, face_sides_px: Iterable[float], min_face_px: float = MIN_FACE_PX
) -> bool:
    """Whether a model can judge what was found: False if it is for faces, looks for them and got none large enough."""
    needs_face = scope is Scope.FACE and face_detection
    return not needs_face or any(side_px >= min_face_px for side_px in face_sides_px)
