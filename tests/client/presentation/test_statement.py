"""The verdict in words, by what the model and the file are."""

from typing import Any

import pytest

from deepfake_client.presentation.statement import Outcome, Statement
from deepfake_client.release import CalibrationRecord, ModelInfo, Scope
from deepfake_client.scores import DetectionResult
from tests.client.evidence.cases import MODEL, made_output

RECORD = {
    "unit": "images", "real": 190, "fake": 200, "auc": 0.9, "ece_before": 0.1, "ece_after": 0.05,
    "fpr": 0.05, "fpr_upper": 0.0843, "fnr": 0.02, "fnr_upper": 0.0445, "tpr": {"value": 0.72}, "uncertain": 0.3,
}  # fmt: skip


def statement(scores: list[Any], model: ModelInfo = MODEL, **options: Any) -> Statement:
    return made_output(scores, model=model, keep_frames=False, **options).details.statement


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def calibrated() -> ModelInfo:
    record = CalibrationRecord.model_validate(
        {"temperature": 1.2, "max_fpr": 0.05, "max_fnr": 0.05, "face_detection": True, "dataset_sha256": "0" * 64,
         "image": RECORD, "video": {**RECORD, "unit": "videos", "real": 40, "fake": 44}}
    )  # fmt: skip
    return MODEL.model_copy(update={"calibration": record})


def test_each_result_has_its_words_and_its_place() -> None:
    for p, outcome, headline, place in (
        (0.9, Outcome.SIGNS, "Signs of manipulation", "lies above the threshold of 70 %."),
        (0.1, Outcome.NO_SIGNS, "No sign of manipulation found", "lies below the threshold of 30 %."),
        (0.5, Outcome.INCONCLUSIVE, "Inconclusive", "lies between the thresholds of 30 % and 70 %."),
    ):
        made = statement([p], is_video=False)
        assert (made.outcome, made.headline) == (outcome, headline)
        assert plain(made.explanation) == f"The fake probability {place}"


def test_a_video_says_of_how_many_frames_and_of_whom() -> None:
    alone = statement([0.9] * 4)
    assert plain(alone.explanation) == "The mean fake probability of 4 sampled frames lies above the threshold of 60 %."
    by_other = statement([0.1] * 4, others=[[0.9] * 3])
    assert plain(by_other.explanation).startswith(
        "The mean fake probability of 3 sampled frames of person 2 lies above"
    )


@pytest.mark.parametrize(
    ("p", "video", "said"),
    [
        (
            0.9,
            False,
            "At this threshold 5.0 % of 190 real test images were called fake (at most 8.4 % at 95 % confidence); "
            "72.0 % of the fakes were caught.",
        ),
        (
            0.1,
            False,
            "At this threshold 2.0 % of 200 fake test images showed no sign either (at most 4.5 % at 95 % confidence).",
        ),
        (0.5, False, "Between these thresholds lay 30.0 % of the model's test images."),
        (
            0.9,
            True,
            "At this threshold 5.0 % of 40 real test videos were called fake (at most 8.4 % at 95 % confidence); "
            "72.0 % of the fakes were caught.",
        ),
    ],
)
def test_a_calibrated_model_says_how_often_it_errs(p: float, video: bool, said: str) -> None:
    assert plain(statement([p], calibrated(), is_video=video).calibration) == said


def test_defaults_are_named() -> None:
    assert "Nobody has measured" in statement([0.9]).calibration


def test_no_verdict_of_an_untrained_model() -> None:
    made = statement([0.9], MODEL.model_copy(update={"trained": False}))
    assert (made.outcome, made.headline) == (Outcome.NO_VERDICT, "No verdict: the model is untrained")
    assert made.calibration == ""


@pytest.mark.parametrize(
    ("options", "found"), [({"without_face": [0]}, "no face found"), ({"face_side_px": 30.0}, "no face large enough")]
)
def test_what_a_model_for_faces_cannot_judge(options: dict[str, Any], found: str) -> None:
    output = made_output([0.9], model=MODEL.model_copy(update={"scope": Scope.FACE}), is_video=False, **options)
    assert output.result is DetectionResult.UNCERTAIN
    made = output.details.statement
    assert (made.outcome, made.headline) == (Outcome.NOT_ASSESSABLE, f"Not assessable: {found}")
