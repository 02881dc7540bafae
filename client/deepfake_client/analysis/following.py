"""Which faces of a media file's sampled frames are the same person's: by size and place, within a scene.

What faces look like is not compared. So a person who comes back after a while, or in another scene, counts as another.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfake_client.pictures import Box

MOST_MISSED_FRAMES = 3
"""A person's face may be missing from so many sampled frames of a scene in a row: a tenth of 30."""

FARTHEST_FACES = 3.0
"""A face farther than so many of its sizes from where a person was is somebody else's."""

LEAST_SIZE_RATIO = 0.5
"""So is one of less than half the size, or of more than twice."""

_Floats = NDArray[np.float64]


@dataclass
class _Track:
    """A person as last seen: in the `at`-th sampled frame of a scene."""

    scene: int
    at: int
    box: Box


def follow_faces(frames: Sequence[Sequence[Box]], scenes: Sequence[int]) -> list[list[int]]:
    """Numbers the people behind the faces of frames, 1, 2, ... in order of first appearance.

    Of all ways to give the faces of a frame to the people seen shortly before in the same scene, at most one face to
    each, the one with the most likeness in size and place is taken. Faces left over are new people.

    Args:
        frames: The boxes of each frame's faces, largest first, so that of those who appear together the largest has
            the lowest number.
        scenes: The scene of each frame: people are the same within one only.

    Returns:
        The number of each face.
    """
    tracks: list[_Track] = []
    frames_of_scene: Counter[int] = Counter()
    numbers = []
    for boxes, scene in zip(frames, scenes, strict=True):
        at = frames_of_scene[scene]
        frames_of_scene[scene] += 1
        open_ = [n for n, t in enumerate(tracks) if t.scene == scene and at - t.at - 1 <= MOST_MISSED_FRAMES]
        chosen = _most_alike(_likeness([tracks[n].box for n in open_], boxes))
        of_frame = []
        for face, box in enumerate(boxes):
            number = open_[chosen[face]] if face in chosen else len(tracks)
            tracks[number : number + 1] = [_Track(scene, at, box)]
            of_frame.append(number + 1)
        numbers.append(of_frame)
    return numbers


def _likeness(before: Sequence[Box], now: Sequence[Box]) -> _Floats:
    """(people, faces), 0 to 1: 1 where size and place are equal, 0 where a face cannot be the person's."""
    a, b = (np.array(boxes, np.float64).reshape(-1, 4) for boxes in (before, now))
    a_size, b_size = (np.sqrt((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1])) for x in (a, b))
    smaller, larger = np.minimum.outer(a_size, b_size), np.maximum.outer(a_size, b_size)
    a_centre, b_centre = ((x[:, :2] + x[:, 2:]) / 2 for x in (a, b))
    distance = np.linalg.norm(a_centre[:, None] - b_centre[None], axis=2) / np.maximum((smaller + larger) / 2, 1e-9)
    ratio = smaller / np.maximum(larger, 1e-9)
    possible = (ratio >= LEAST_SIZE_RATIO) & (distance <= FARTHEST_FACES)
    return np.where(possible, ratio**2 / (1 + distance), 0.0)


def _most_alike(likeness: _Floats) -> dict[int, int]:
    """Faces and their people, one each, of much likeness together.

    Found by exchanging the faces of two people, those first for whom it gains most, as long as it gains anything.
    """
    people, faces = likeness.shape
    side = max(people, faces)
    if not people or not faces:
        return {}
    padded = np.zeros((side, side))
    padded[:people, :faces] = likeness
    face_of = np.arange(side)
    while True:
        taken = padded[:, face_of]  # [i, j]: of person i with the face of person j
        own = np.diagonal(taken)
        gain = taken + taken.T - own[:, None] - own[None]
        i, j = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[i, j] < 1e-9:
            return {int(face_of[n]): n for n in range(people) if own[n] > 0}
        face_of[[i, j]] = face_of[[j, i]]
