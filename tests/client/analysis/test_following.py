from collections.abc import Sequence

import numpy as np
import pytest

from deepfake_client.analysis.following import follow_faces
from deepfake_client.pictures import Box


def face(x: float, y: float = 100.0, size: float = 100.0) -> Box:
    return (x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def follow(*frames: Sequence[Box], scenes: Sequence[int] | None = None) -> list[list[int]]:
    return follow_faces(frames, scenes or [0] * len(frames))


def test_people_are_numbered_as_they_appear_and_keep_their_number_while_they_sway() -> None:
    rng = np.random.default_rng(0)
    frames = [[face(x + rng.normal(0, 15), 100 + rng.normal(0, 8)) for x in (100, 320)] for _ in range(30)]
    frames[4:] = [[*frame, face(560 + rng.normal(0, 15))] for frame in frames[4:]]
    assert follow(*frames) == [[1, 2]] * 4 + [[1, 2, 3]] * 26


def test_who_stands_where_another_stood_is_told_by_size() -> None:
    near, far = ([face(100 + 40 * i, size=140) for i in range(12)], [face(540 - 40 * i, size=80) for i in range(12)])
    assert follow(*zip(near, far, strict=True)) == [[1, 2]] * 12


def test_when_the_camera_turns_nobody_gets_the_number_of_a_neighbour() -> None:
    assert follow(*[[face(100 + 80 * i), face(230 + 80 * i), face(360 + 80 * i)] for i in range(4)]) == [[1, 2, 3]] * 4


def test_a_face_that_is_lost_for_a_few_frames_is_the_same_person() -> None:
    gap = [[face(300)]] * 3
    assert follow([face(100), face(300)], *gap, [face(105), face(300)]) == [[1, 2], *[[2]] * len(gap), [1, 2]]
    assert follow([face(100)], [], [face(110)])[-1] == [1]


def test_who_comes_back_after_a_while_has_another_number() -> None:
    gone = [[face(300)]] * 4
    assert follow([face(100), face(300)], *gone, [face(100), face(300)])[-1] == [3, 2]


@pytest.mark.parametrize("other", [face(410), face(100, size=210), face(100, size=49)], ids=["far", "large", "small"])
def test_a_face_of_another_place_or_size_is_somebody_else(other: Box) -> None:
    assert follow([face(100)], [other]) == [[1], [2]]


def test_after_a_cut_everybody_is_new_and_a_scene_that_comes_back_brings_its_people_back() -> None:
    left, right = [face(100)], [face(110)]
    assert follow(left, left, right, right, left, scenes=[0, 0, 1, 1, 0]) == [[1], [1], [2], [2], [1]]
    # The frames of other scenes are no gap.
    assert follow(left, *[right] * 9, left, scenes=[0, *[1] * 9, 0])[-1] == [1]


def test_eight_faces_keep_their_numbers_whatever_their_order_in_a_frame() -> None:
    rng = np.random.default_rng(1)
    places = np.array([(x, y) for y in (100, 300) for x in (100, 250, 400, 550)], float)
    numbers, expected = [], []
    orders = [range(8), *(rng.permutation(8) for _ in range(29))]
    frames = [[face(*(places[n] + rng.normal(0, 20, 2))) for n in order] for order in orders]
    numbers = follow(*frames)
    expected = [[int(n) + 1 for n in order] for order in orders]
    assert numbers == expected


def test_nobody_has_two_faces_in_a_frame() -> None:
    rng = np.random.default_rng(2)
    frames = [[face(*rng.uniform(50, 400, 2), rng.uniform(60, 120)) for _ in range(rng.integers(9))] for _ in range(60)]
    numbers = follow(*frames, scenes=list(rng.integers(2, size=60)))
    assert all(
        len(set(of_frame)) == len(of_frame) == len(frame) for of_frame, frame in zip(numbers, frames, strict=True)
    )
    first_seen = list(dict.fromkeys(n for of_frame in numbers for n in of_frame))
    assert first_seen == list(range(1, len(first_seen) + 1))


def test_boxes_without_a_size_are_followed_as_well() -> None:
    assert follow([(5, 5, 5, 5)], [(5, 5, 5, 5)], [])[:1] == [[1]]
