import pytest

from deepfake_client.analysis.segments import Segment, find_segments, part_to_look_at
from deepfake_client.release import BandRecord, CalibrationRecord, Interval
from tests.client.evidence.cases import MODEL, made_output

TIMES = [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 9.0]


def spans(*probabilities: float | None) -> list[tuple[float, float, int]]:
    return [(s.start_s, s.end_s, s.frames) for s in find_segments(TIMES, probabilities, 0.6)]


def test_a_frame_stands_for_the_time_around_it() -> None:
    assert spans(0.1, 0.1, 0.7, 0.8, 0.1, 0.1, 0.1) == [(1.5, 4.5, 2)]
    assert spans(0.7, 0.1, 0.7, 0.1, 0.1, 0.7, 0.9) == [(0.0, 0.5, 1), (1.5, 3.0, 1), (5.5, 9.0, 2)]
    assert spans(*[0.9] * 7) == [(0.0, 9.0, 7)]
    assert find_segments([0.0], [0.9], 0.6) == [
        Segment(start_s=0, end_s=0, person=None, frames=1, mean_probability=0.9)
    ]


def test_above_the_band_is_not_on_its_edge() -> None:
    assert spans(*[0.6] * 7) == spans(*[0.1] * 7) == find_segments([], [], 0.6) == []


def test_a_frame_without_a_probability_ends_a_stretch() -> None:
    assert spans(0.1, 0.7, None, 0.7, 0.1, None, None) == [(0.5, 1.5, 1), (3.0, 4.5, 1)]


def test_person_and_mean() -> None:
    (found,) = find_segments(TIMES, [0.1, 0.7, 0.9, 0.1, None, None, None], 0.6, person=2)
    assert (found.person, found.mean_probability) == (2, pytest.approx(0.8))


def part(*series: list[float | None]) -> tuple[float, float] | None:
    return part_to_look_at(TIMES, series, 0.6)


def test_the_part_reaches_to_the_frames_beside_the_stretch() -> None:
    assert part([0.1, 0.1, 0.7, 0.8, 0.1, 0.1, 0.1]) == (1.0, 5.0)
    assert part([0.1, 0.1, 0.7, 0.8, None, 0.1, 0.1]) == (1.0, 5.0)
    assert part([0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) == (0.0, 1.0)
    assert part([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9]) == (6.0, pytest.approx(9 + 9 / 7))


def test_of_several_stretches_and_people_the_highest_counts() -> None:
    assert part([0.7, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1]) == (4.0, 6.0)
    low, high = [0.7, 0.1, 0.1, 0.1, 0.1, 0.1, None], [0.1, 0.1, 0.95, 0.1, 0.1, 0.1, None]
    assert part(low, high) == part(high, low) == (1.0, 4.0)


def test_a_peak_that_stands_alone_below_the_band() -> None:
    assert part([0.1, 0.1, 0.1, 0.1, 0.55, 0.1, 0.1]) == (4.0, 6.0)
    assert part([0.1, 0.1, 0.1, 0.1, 0.15, 0.1, 0.1]) is None


@pytest.mark.parametrize("series", [[[0.9] * 7], [[0.1] * 7], [[None] * 7], [], [[0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1]]])
def test_where_frames_agree_or_most_are_high_nothing_is_looked_at(series: list[list[float | None]]) -> None:
    assert part(*series) is None


def test_a_result_names_the_stretches_of_a_video() -> None:
    output = made_output([0.1] * 10 + [0.9, 0.7, "EMPTY", 0.8] + [0.1] * 10)
    assert output.metadata["segments"] == [
        {"start_s": 4.75, "end_s": 5.75, "person": 1, "frames": 2, "mean_probability": pytest.approx(0.8)},
        {"start_s": 6.25, "end_s": 6.75, "person": 1, "frames": 1, "mean_probability": 0.8},
    ]
    (of_nobody,) = made_output([0.1, 0.9, 0.1], without_face=range(3)).metadata["segments"]
    assert (of_nobody["person"], of_nobody["frames"]) == (None, 1)
    (of_another,) = made_output([0.1] * 9, others=[[0.2, 0.9, 0.8]]).metadata["segments"]
    assert (of_another["person"], of_another["frames"]) == (2, 2)
    assert made_output([0.1, 0.6]).metadata["segments"] == []
    assert "segments" not in made_output([0.9], is_video=False).metadata


def test_a_release_that_was_calibrated_for_stretches_judges_by_them() -> None:
    scores = [0.1] * 20 + [0.9] * 3 + [0.1] * 7
    by_mean, by_stretch = made_output(scores), made_output(scores, model=MODEL.model_copy(update={"calibration": BOTH}))
    assert (by_mean.result, by_mean.confidence_score) == ("real", pytest.approx(0.18))
    assert (by_stretch.result, by_stretch.confidence_score) == ("fake", pytest.approx(0.9))
    assert by_stretch.scores == by_mean.scores, "the ten scores are the contract's"


_DID = BandRecord(
    unit="videos", real=100, fake=100, auc=0.9, ece_before=0, ece_after=0, fpr=0, fpr_upper=0, fnr=0, fnr_upper=0,
    tpr=Interval(value=1), uncertain=0,
)  # fmt: skip
BOTH = CalibrationRecord(
    temperature=1, max_fpr=0.01, max_fnr=0.05, face_detection=True, dataset_sha256="0" * 64, image=_DID, video=_DID,
    video_rule="stretch",
)  # fmt: skip
