"""The people of a detection, and which of them decides."""

from math import nan

import pytest

from deepfake_client.analysis.faces import FaceChoice
from deepfake_client.analysis.media_facts import MediaFacts
from deepfake_client.analysis.scenes import SKETCH_BYTES
from deepfake_client.media import MediaType
from deepfake_client.result import aggregate
from deepfake_client.scores import media_scores
from tests.client.evidence.cases import MODEL, made_output

REAL = [0.1] * 30


def test_every_person_is_followed_and_the_most_suspicious_decides() -> None:
    output = made_output(REAL, others=[[None] * 4 + [0.9, 0.7, 0.8] * 4, [nan] * 30])
    first, second = output.metadata["people"]
    assert first == {
        "person": 1, "frames": 30, "fake_probability": pytest.approx(0.1), "peak": 0.1, "result": "real",
        "largest_face_px": 103.0, "first_s": 0.0, "last_s": 14.5,
    }  # fmt: skip
    assert second == {
        "person": 2, "frames": 12, "fake_probability": pytest.approx(0.8), "peak": 0.9, "result": "fake",
        "largest_face_px": 79.0, "first_s": 2.0, "last_s": 7.5,
    }  # fmt: skip
    assert (output.result, output.confidence_score) == ("fake", second["fake_probability"])
    assert (output.metadata["people_found"], output.metadata["faces_detected"]) == (2, 72)
    frame = output.metadata["frame_predictions"][5]
    assert frame["fake_probability"] == 0.1, "of the largest face"
    assert [(face["person"], face["fake_probability"]) for face in frame["faces"]] == [(1, 0.1), (2, 0.7), (None, None)]
    assert frame["faces"][0]["face_box"] == frame["face_box"]
    assert output.scores == made_output(REAL).scores


def test_with_one_face_everything_is_as_before() -> None:
    p = [0.1, 0.7, 0.6, 0.3]
    output = made_output(p)
    assert output.confidence_score == sum(p) / 4 == output.details.people[0].fake_probability
    assert made_output([0.9], is_video=False).confidence_score == 0.9


@pytest.mark.parametrize(("frames", "decider"), [(6, 2), (5, 1)])
def test_who_decides_is_seen_in_a_fifth_of_the_frames_with_a_face(frames: int, decider: int) -> None:
    output = made_output(REAL + [0.5] * 10, others=[[0.9] * frames], without_face=range(30, 40))
    assert output.confidence_score == output.details.people[decider - 1].fake_probability


def test_every_scored_face_of_an_image_counts() -> None:
    output = made_output([0.1], is_video=False, others=[[0.2], [0.9], [nan], [0.3]])
    assert (output.result, output.confidence_score, output.details.people_found) == ("fake", 0.9, 4)
    assert [person.result for person in output.details.people] == ["real", "real", "fake", "uncertain"]


def test_the_largest_face_decides_where_the_settings_say_so() -> None:
    output = made_output(REAL, others=[[nan] * 30], without_face=[0], choice=FaceChoice.LARGEST)
    assert (output.result, output.confidence_score) == ("real", pytest.approx(0.1))
    assert output.details.faces_detected == 59
    mixed = made_output([0.9, 0.1], without_face=[0], choice=FaceChoice.LARGEST)
    assert mixed.confidence_score == 0.5, "whole pictures count, as they did"


def test_the_scores_are_of_the_most_suspicious_faces_where_the_settings_say_so() -> None:
    others, p = [[0.9, nan, 0.05]], [0.1, 0.2, 0.3, 0.4]
    output = made_output(p, others=others, choice=FaceChoice.MOST_SUSPICIOUS)
    assert output.scores == media_scores([0.9, 0.2, 0.3, 0.4], MediaType.VIDEO)
    assert output.confidence_score == made_output(p, others=others).confidence_score
    assert made_output(p, others=others).scores == media_scores(p, MediaType.VIDEO)


def test_whole_pictures_decide_where_nobody_has_a_face() -> None:
    output = made_output([0.1, 0.7], without_face=range(2))
    assert (output.confidence_score, output.details.people_found) == (pytest.approx(0.4), 0)
    assert output.metadata["frame_predictions"][0]["faces"] == []


def test_in_a_video_of_many_scenes_nobody_decides_alone() -> None:
    p = [0.9, 0.1, 0.1, 0.1, 0.1, 0.1]
    frames = [frame.score for frame in made_output(p).frames]
    sketches = tuple(bytes([40 * i]) * SKETCH_BYTES for i in range(6))
    cut = aggregate(frames, MediaType.VIDEO, MODEL, "made", MediaFacts(sketches=sketches))
    assert [person.frames for person in cut.people.persons] == [1] * 6
    assert cut.fake_probability == pytest.approx(sum(p) / 6)
    assert cut.people.persons[0].first_s is None
    five = aggregate(frames[:5], MediaType.VIDEO, MODEL, "made", MediaFacts(sketches=sketches[:5]))
    assert five.fake_probability == 0.9
