import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake_client.media import MediaType
from deepfake_client.release import VerdictBands
from deepfake_client.scores import DetectionResult, deciding_probability, media_scores, sample_indices, verdict

SCORE_VECTORS = json.loads(Path(__file__).with_name("score_vectors.json").read_text())
SAMPLING_VECTORS = json.loads(Path(__file__).with_name("sampling_vectors.json").read_text())

probability = st.floats(0, 1)
probabilities = st.lists(probability, min_size=1, max_size=30)


@pytest.mark.parametrize("vector", SCORE_VECTORS, ids=lambda v: f"{v['media_type']}-{len(v['fake_probabilities'])}")
def test_score_vectors_of_the_contract(vector: dict) -> None:
    scores = media_scores(vector["fake_probabilities"], MediaType(vector["media_type"].lower()))
    assert scores.rounded() == vector["scores"]


@given(probabilities, st.sampled_from(MediaType))
def test_scores_stay_within_bounds_and_order(p: list[float], media_type: MediaType) -> None:
    scores = media_scores(p, media_type)
    assert all(0 <= value <= 100 + 1e-9 for value in scores.rounded(9).values())
    assert scores.gan_fingerprint == scores.video_score
    assert scores.audio_score == 0.0
    assert scores.mean_risk <= scores.peak_risk + 1e-9
    assert scores.video_score <= scores.risk_score + 1e-9 <= scores.peak_risk + 2e-9
    assert scores.confidence >= 50 - 1e-9


@given(st.permutations([0.1, 0.2, 0.35, 0.5, 0.8, 0.95]))
def test_scores_do_not_depend_on_the_order_of_frames(p: list[float]) -> None:
    assert media_scores(p, MediaType.VIDEO).rounded(9) == media_scores(sorted(p), MediaType.VIDEO).rounded(9)


@given(probability, st.integers(1, 30))
def test_a_video_of_equal_frames_is_consistent(p: float, count: int) -> None:
    scores = media_scores([p] * count, MediaType.VIDEO)
    assert scores.temporal_consistency == pytest.approx(100)
    assert scores.peak_risk == pytest.approx(scores.mean_risk)


@given(probabilities)
def test_only_a_video_can_be_inconsistent(p: list[float]) -> None:
    assert media_scores(p, MediaType.IMAGE).temporal_consistency == 100.0
    expected = 100.0 if len(p) < 2 else min(max(100 - 1000 * float(np.mean((p - np.mean(p)) ** 2)), 0), 100)
    assert media_scores(p, MediaType.VIDEO).temporal_consistency == pytest.approx(expected, abs=1e-6)


def test_risk_leans_to_the_peak_only_when_it_stands_out() -> None:
    close = media_scores([0.5] * 10 + [0.59], MediaType.VIDEO)
    assert close.risk_score == close.video_score
    outlier = media_scores([0.5] * 20 + [0.9], MediaType.VIDEO)
    assert outlier.video_score == pytest.approx(50)
    assert outlier.risk_score == pytest.approx(0.7 * 50 + 0.3 * 90)


def test_numbers_are_rounded_last() -> None:
    assert media_scores([0.12345, 0.12344], MediaType.VIDEO).mean_risk == pytest.approx(12.3445)


@pytest.mark.parametrize("p", [[], [float("nan")], [1.01], [-0.01], [[0.5]]])
def test_what_is_no_probability_is_refused(p: list) -> None:
    with pytest.raises(ValueError, match="within 0-1"):
        media_scores(p, MediaType.VIDEO)


@pytest.mark.parametrize("vector", SAMPLING_VECTORS, ids=lambda v: str(v["count"]))
def test_sampling_vectors(vector: dict) -> None:
    assert sample_indices(vector["count"]) == vector["indices"]


@given(st.integers(31, 100_000))
def test_sampling_takes_first_and_last_and_30_in_order(count: int) -> None:
    indices = sample_indices(count)
    assert len(indices) == 30
    assert (indices[0], indices[-1]) == (0, count - 1)
    steps = np.diff(indices)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1
    assert indices == [(i * (count - 1) + 14) // 29 for i in range(30)]


def test_sampling_of_nothing_and_of_one() -> None:
    assert sample_indices(0) == []
    assert sample_indices(5, 1) == [0]
    assert sample_indices(5, 0) == []


@pytest.mark.parametrize(
    ("fake_probability", "expected"),
    [
        (0.0, DetectionResult.REAL),
        (0.2999, DetectionResult.REAL),
        (0.3, DetectionResult.UNCERTAIN),
        (0.7, DetectionResult.UNCERTAIN),
        (0.7001, DetectionResult.FAKE),
        (1.0, DetectionResult.FAKE),
    ],
)
def test_verdict_bands_include_their_bounds(fake_probability: float, expected: DetectionResult) -> None:
    assert verdict(fake_probability, VerdictBands(real_below=0.3, fake_above=0.7)) is expected


def test_what_decides_about_a_video() -> None:
    p = [0.1, 0.9, 0.1, 0.9, 0.75, 0.9, 0.1, 0.1]
    assert deciding_probability(p) == pytest.approx(3.85 / 8)
    assert deciding_probability(p, "stretch") == pytest.approx(0.85)
    assert deciding_probability([0.2, 0.4], "stretch") == deciding_probability([0.2, 0.4]) == pytest.approx(0.3)
    assert deciding_probability(np.float32([0.7]), "stretch") == pytest.approx(0.7)
