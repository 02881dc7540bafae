"""The people of a media file, and who of them decides the verdict."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pydantic import BaseModel, ConfigDict, Field

from deepfake_client.analysis.following import follow_faces
from deepfake_client.analysis.media_facts import MediaFacts
from deepfake_client.analysis.scenes import number_scenes
from deepfake_client.release import VerdictBands, VideoRule
from deepfake_client.scorer import Face, FrameScore
from deepfake_client.scores import DetectionResult, deciding_probability, verdict

LEAST_SHARE = Fraction(1, 5)
"""Share of the frames with a face in which a person must be seen to decide the verdict: one odd face in a frame or two
does not."""


Series = dict[int | None, list[float | None]]
"""By person, the fake probability in each frame; None where they are not seen."""


class Person(BaseModel):
    """Someone whose face was followed through the sampled frames."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    person: int = Field(ge=1)
    """1, 2, ... in order of first appearance; of those who appear together the one with the largest face is first."""
    frames: int
    """Sampled frames in which the face was scored."""
    fake_probability: float
    """Mean over these frames, 0-1, not rounded; of a release whose bands are for stretches, the highest stretch."""
    peak: float
    """Highest of these frames."""
    result: DetectionResult
    """By the model's bands for this kind of media."""
    largest_face_px: float
    """Shorter side of the largest of these faces."""
    first_s: float | None
    """Time of the first of these frames, in seconds from the video's first frame; null where it is not known."""
    last_s: float | None
    """Time of the last of these frames."""


@dataclass(frozen=True)
class People:
    """The people of a media file.

    Attributes:
        numbers: For each frame, the person of each of its faces; None for a face that was not scored.
        persons: All of them, by number.
        frames_with_face: Frames in which a face was scored.
    """

    numbers: tuple[tuple[int | None, ...], ...] = ()
    persons: tuple[Person, ...] = ()
    frames_with_face: int = 0

    @property
    def is_several(self) -> bool:
        """Whether there is more than one face in a frame, scored or not, or more than one person."""
        return len(self.persons) > 1 or any(len(faces) > 1 for faces in self.numbers)

    @property
    def most_suspicious(self) -> Person | None:
        """Who decides the verdict: the highest of those who are seen often enough; None without any such."""
        seen = [person for person in self.persons if self.is_seen_enough(person)]
        return max(seen, key=lambda person: person.fake_probability, default=None)

    def faces(self, person: Person, frames: Sequence[FrameScore]) -> list[Face | None]:
        """A person's face in each frame; None where they are not seen."""
        of_frames = [dict(zip(numbers, s.faces, strict=True)) for numbers, s in zip(self.numbers, frames, strict=True)]
        return [faces.get(person.person) for faces in of_frames]

    def probabilities(self, person: Person, frames: Sequence[FrameScore]) -> list[float | None]:
        """A person's fake probability in each frame; None where they are not seen."""
        return [face.fake_probability if face else None for face in self.faces(person, frames)]

    def series(self, frames: Sequence[FrameScore]) -> Series:
        """Fake probabilities of each person; of the whole pictures, as of None, where there is nobody."""
        of_people: Series = {person.person: self.probabilities(person, frames) for person in self.persons}
        return of_people or {None: [score.fake_probability for score in frames]}

    def is_seen_enough(self, person: Person) -> bool:
        """Whether a person is seen in so many frames that they may decide."""
        return person.frames >= LEAST_SHARE * self.frames_with_face


def find_people(
    frames: Sequence[FrameScore], facts: MediaFacts, bands: VerdictBands, rule: VideoRule = "mean"
) -> People:
    """The people behind the scored faces of all sampled frames, in order.

    Args:
        frames: Their scores.
        facts: With the times and sketches of the same frames, where they are known.
        bands: That a person's result is made with.
        rule: What of a person's frames makes their probability.
    """
    numbers = _numbers(frames, facts.sketches)
    sightings: dict[int, list[tuple[int, Face]]] = {}
    for at, (score, people) in enumerate(zip(frames, numbers, strict=True)):
        for face, number in zip(score.faces, people, strict=True):
            if number is not None:
                sightings.setdefault(number, []).append((at, face))
    return People(
        numbers=numbers,
        persons=tuple(_person(number, sightings[number], facts, bands, rule) for number in sorted(sightings)),
        frames_with_face=sum(any(people) for people in numbers),
    )


def number_further(
    people: People,
    frames: Sequence[FrameScore],
    facts: MediaFacts,
    further: Sequence[FrameScore],
    further_facts: MediaFacts,
) -> tuple[tuple[int | None, ...], ...]:
    """Whose the faces of further frames are: for each frame, the person of each face, None where none is known.

    Faces are followed through all frames together. A person found there is the one of `people` whose faces they are.

    Args:
        people: Those of the frames.
        frames: The scores of these.
        facts: With their times and sketches.
        further: Scores of frames between them.
        further_facts: With their times and sketches.
    """
    if not further:
        return ()
    times_s, sketches = (*facts.times_s, *further_facts.times_s), (*facts.sketches, *further_facts.sketches)
    scores = (*frames, *further)
    order = sorted(range(len(scores)), key=times_s.__getitem__)
    followed = dict(zip(order, _numbers([scores[i] for i in order], [sketches[i] for i in order]), strict=True))
    both = Counter(pair for i, known in enumerate(people.numbers) for pair in zip(followed[i], known, strict=True))
    known_as = {found: known for (found, known), _ in reversed(both.most_common())}
    return tuple(tuple(known_as.get(number) for number in followed[i]) for i in range(len(frames), len(scores)))


def _numbers(frames: Sequence[FrameScore], sketches: Sequence[bytes]) -> tuple[tuple[int | None, ...], ...]:
    """For each frame, the person of each of its faces; None for a face that was not scored."""
    scored = [[(n, face) for n, face in enumerate(s.faces) if face.fake_probability is not None] for s in frames]
    scenes = number_scenes(sketches) if sketches else [0] * len(frames)
    followed = follow_faces([[face.box_px for _, face in faces] for faces in scored], scenes)
    numbers: list[list[int | None]] = [[None] * len(score.faces) for score in frames]
    for at, (faces, people) in enumerate(zip(scored, followed, strict=True)):
        for (n, _), number in zip(faces, people, strict=True):
            numbers[at][n] = number
    return tuple(map(tuple, numbers))


def _person(
    number: int, sightings: Sequence[tuple[int, Face]], facts: MediaFacts, bands: VerdictBands, rule: VideoRule
) -> Person:
    p = [face.fake_probability for _, face in sightings if face.fake_probability is not None]
    times_s = [round(facts.times_s[at], 6) for at, _ in sightings] if facts.times_s else []
    decides = deciding_probability(p, rule)
    return Person(
        person=number,
        frames=len(p),
        fake_probability=decides,
        peak=max(p),
        result=verdict(decides, bands),
        largest_face_px=round(max(face.shorter_side_px for _, face in sightings), 1),
        first_s=times_s[0] if times_s else None,
        last_s=times_s[-1] if times_s else None,
    )
