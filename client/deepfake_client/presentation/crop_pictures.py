"""Pictures of what the model saw: each person's face in their most suspicious frame."""

from collections.abc import Iterator
from dataclasses import dataclass

from deepfake_client.errors import InputError
from deepfake_client.pictures import Box, Thumbnail, make_thumbnail
from deepfake_client.result import DetectionOutput, ScoredFrame

CROP_SIDE_PX = 224
MAX_CROPS = 8


@dataclass(frozen=True)
class CropPicture:
    """A part of a frame, as the model saw it.

    Attributes:
        person: Whose face it is; None for a whole frame, and where the largest face of each frame decides.
        index: Of the frame among the sampled ones.
        timestamp_s: Of the frame.
        fake_probability: Of this part, 0-1.
        picture: At most `CROP_SIDE_PX` wide and high.
    """

    person: int | None
    index: int
    timestamp_s: float
    fake_probability: float
    picture: Thumbnail


def crop_pictures(output: DetectionOutput) -> Iterator[CropPicture]:
    """The most suspicious face of each person, the most suspicious person first, `MAX_CROPS` at most.

    Without people it is the most suspicious frame's largest face, or all of that frame. A picture that cannot be made
    is left out.

    Args:
        output: From `Detector.detect(..., keep_frames=True)`.
    """
    people = sorted(output.details.people, key=lambda person: -person.fake_probability)[:MAX_CROPS]
    numbers: list[int | None] = [person.person for person in people]
    for person in numbers or [None]:
        frame, box_px, p = max(_sightings(output, person), key=lambda sighting: sighting[2])
        try:
            picture = make_thumbnail(
                frame.encoded or b"",
                box_px,
                output.model.preprocess.crop_factor,
                max_side_px=CROP_SIDE_PX,
                max_pixels=output.model.preprocess.max_pixels,
            )
        except InputError:
            continue
        yield CropPicture(person, frame.index, frame.timestamp_s, p, picture)


def _sightings(output: DetectionOutput, person: int | None) -> Iterator[tuple[ScoredFrame, Box | None, float]]:
    """Each frame with the box and the fake probability of the person's face, or of what was scored of it."""
    for frame, predicted in zip(output.frames, output.details.frame_predictions, strict=True):
        if person is None and predicted.fake_probability is not None:
            yield frame, predicted.face_box, predicted.fake_probability
        for face in predicted.faces:
            if person is not None and face.person == person and face.fake_probability is not None:
                yield frame, face.face_box, face.fake_probability
