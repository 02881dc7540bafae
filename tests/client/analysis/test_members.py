"""What each of several models says by itself: of the same faces and frames as the fused score."""

from dataclasses import replace

import pytest

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.analysis.members import score_members
from deepfake_client.errors import ModelFaultError
from deepfake_client.media import MediaType
from deepfake_client.result import Aggregate, aggregate
from deepfake_client.scorer import OK, Face, FrameScore
from tests.client.evidence.cases import MODEL, TWO_MODELS, made_output

LEFT, RIGHT = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 290.0, 90.0)


def frame(*faces: tuple[float, tuple[float, ...]]) -> FrameScore:
    """A frame with up to two faces, the larger one first: the fused score of each, and each model's own."""
    found = tuple(Face(box, 0.9, p, members) for box, (p, members) in zip((LEFT, RIGHT), faces, strict=False))
    return FrameScore(OK, faces[0][0], faces=found, members=faces[0][1])


def whole(*scores: FrameScore, choice: FaceChoice = FaceChoice.EVERY, is_video: bool = True) -> Aggregate:
    kind = MediaType.VIDEO if is_video else MediaType.IMAGE
    return aggregate(scores, kind, TWO_MODELS, "made", rules=FaceRules(choice))


def own(made: Aggregate) -> list[float]:
    return [model.fake_probability for model in made.models]


def test_of_an_image_they_are_what_each_model_says() -> None:
    (face, second) = made_output([0.7], model=TWO_MODELS, is_video=False, members=[(0.9, 0.2)]).details.models
    assert face.model_dump() == {
        "name": "example/face", "whole_image": False, "calibrated": True, "weight": 0.75, "fake_probability": 0.9,
    }  # fmt: skip
    assert second.model_dump() == {
        "name": "example/whole", "whole_image": True, "calibrated": False, "weight": 0.5, "fake_probability": 0.2,
    }  # fmt: skip


def test_of_a_video_they_are_means_over_the_frames_that_decide() -> None:
    failed, unseen = FrameScore("DECODE_FAILED"), FrameScore(OK, 0.5, members=(0.01, 0.02))
    made = whole(frame((0.8, (0.9, 0.4))), failed, frame((0.6, (0.5, 0.8))), unseen)
    assert made.fake_probability == pytest.approx(0.7)
    assert own(made) == pytest.approx([0.7, 0.6]), "the frame without the face that decides has no part"
    assert own(whole(unseen, failed, replace(unseen, members=(0.03, 0.06)))) == pytest.approx([0.02, 0.04])


def test_they_speak_of_the_person_who_decides() -> None:
    frames = [frame((0.2, (0.3, 0.1)), (0.8, (0.95, 0.6)))] * 3
    assert own(whole(*frames)) == pytest.approx([0.95, 0.6])
    assert own(whole(*frames[:1], is_video=False)) == [0.95, 0.6]
    assert own(whole(*frames, choice=FaceChoice.LARGEST)) == pytest.approx([0.3, 0.1])


def test_the_fused_score_says_which_stretch_decides() -> None:
    """The first model is highest in other frames, and the second in all of these."""
    fused = [0.1, 0.1, 0.8, 0.7, 0.9, 0.1, 0.1, 0.1]
    first = [0.99, 0.99, 0.5, 0.6, 0.7, 0.99, 0.99, 0.99]
    frames = [FrameScore(OK, p, members=(q, 0.25)) for p, q in zip(fused, first, strict=True)]
    assert [m.fake_probability for m in score_members(TWO_MODELS, frames, "stretch")] == pytest.approx([0.6, 0.25])
    assert [m.fake_probability for m in score_members(TWO_MODELS, frames)] == pytest.approx([6.75 / 8, 0.25])
    assert [m.fake_probability for m in score_members(TWO_MODELS, frames[:2], "stretch")] == pytest.approx([0.99, 0.25])


def test_beside_the_risk_scores_they_are_means_over_the_same_faces() -> None:
    frames = [frame((0.2, (0.3, 0.1)), (0.8, (0.95, 0.6))), frame((0.4, (0.5, 0.3)))]
    for choice, mean, expected in (
        (FaceChoice.EVERY, 30.0, [0.4, 0.2]),
        (FaceChoice.MOST_SUSPICIOUS, 60.0, [0.725, 0.45]),
    ):
        made = whole(*frames, choice=choice)
        assert made.scores.mean_risk == pytest.approx(mean)
        assert [model.fake_probability for model in made.models_of_scores] == pytest.approx(expected)


def test_frames_and_faces_hold_what_each_says() -> None:
    output = made_output(
        [0.7, "DECODE_FAILED"], model=TWO_MODELS, members=[(0.9, 0.2)], others=[[float("nan")]]
    ).metadata
    scored, failed = output["frame_predictions"]
    assert scored["models"] == scored["faces"][0]["models"] == [0.9, 0.2]
    assert "models" not in failed
    assert "models" not in scored["faces"][1], "it was not scored"


def test_a_single_model_says_nothing_of_them() -> None:
    metadata = made_output([0.7, 0.8]).metadata
    assert "models" not in metadata
    assert "models" not in metadata["frame_predictions"][0]
    assert "models" not in metadata["frame_predictions"][0]["faces"][0]
    assert score_members(MODEL, [FrameScore(OK, 0.5)]) == ()


def test_a_release_that_hides_them_is_at_fault() -> None:
    for members in ((), (0.5,), (0.5, 0.5, 0.5)):
        with pytest.raises(ModelFaultError, match="fuses 2 models"):
            whole(frame((0.7, members)))
