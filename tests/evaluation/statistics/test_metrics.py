import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from evaluation.statistics.metrics import (
    balanced,
    bin_index,
    calibration_bins,
    calibration_metrics,
    confusion_matrix,
    decision_metrics,
    latency_metrics,
    positive_predictive_value,
    ranking_metrics,
    roc_curve,
    score_metrics,
)

# Four real and four fake files. Pairs (real, fake) in order: 16, of which the fake scores higher in 13, and one tie.
REAL = [0.1, 0.2, 0.4, 0.8]
FAKE = [0.3, 0.8, 0.9, 0.95]
IS_FAKE = np.array([False] * 4 + [True] * 4)
P = np.array(REAL + FAKE)

# Scores on a grid have ties, and 1 - p of them is exact.
scores = st.integers(0, 64).map(lambda n: n / 64)
samples = st.tuples(st.lists(scores, min_size=1, max_size=40), st.lists(scores, min_size=1, max_size=40))


def arrays(sample: tuple[list[float], list[float]]) -> tuple[np.ndarray, np.ndarray]:
    real, fake = sample
    return np.array([False] * len(real) + [True] * len(fake)), np.array(real + fake)


@settings(deadline=None)
@given(samples)
def test_the_curve_is_scikit_learns(sample: tuple[list[float], list[float]]) -> None:
    curve = roc_curve(*arrays(sample))
    expected = sklearn_roc_curve(*arrays(sample), drop_intermediate=False)
    for found, points in zip((curve.fpr, curve.tpr, curve.thresholds), expected, strict=True):
        np.testing.assert_allclose(found, points, atol=1e-12)


@settings(deadline=None)
@given(samples)
def test_average_precision_is_scikit_learns(sample: tuple[list[float], list[float]]) -> None:
    is_fake, p = arrays(sample)
    assert ranking_metrics(is_fake, p)["average_precision"] == pytest.approx(average_precision_score(is_fake, p))


@settings(deadline=None)
@given(samples)
def test_thresholds_give_the_rates_beside_them(sample: tuple[list[float], list[float]]) -> None:
    is_fake, p = arrays(sample)
    found = ranking_metrics(is_fake, p)
    for percent in (1, 5):
        threshold, tpr = found[f"threshold_at_{percent}pct_fpr"], found[f"tpr_at_{percent}pct_fpr"]
        if math.isnan(threshold):
            assert tpr == 0
        else:
            assert (p[is_fake] >= threshold).mean() == pytest.approx(tpr)
            assert (p[~is_fake] >= threshold).mean() <= percent / 100 + 1e-9


def test_the_predictive_value_is_bayes() -> None:
    # Of 10,000 files 100 are fake: 90 found, and 198 false alarms.
    assert positive_predictive_value(0.9, 0.02, 0.01) == pytest.approx(90 / 288)
    assert positive_predictive_value(0.9, 0.02, 1.0) == 1.0
    assert math.isnan(positive_predictive_value(0.0, 0.0, 0.5))


def test_ranking_by_hand() -> None:
    found = ranking_metrics(IS_FAKE, P)
    assert found["auc"] == pytest.approx(13.5 / 16)
    # Points (FPR, TPR): (0,0) (0,.25) (0,.5) then the tie at 0.8 to (.25,.75), which lies on FPR = 1 - TPR.
    assert found["eer"] == pytest.approx(0.25)
    assert found["eer_threshold"] == 0.8
    assert found["tpr_at_1pct_fpr"] == 0.5
    assert found["tpr_at_5pct_fpr"] == 0.5
    assert roc_curve(IS_FAKE, P).tpr_at(0.25) == 0.75


def test_the_equal_error_rate_between_two_thresholds() -> None:
    # (0,0) (0,1/3) (1/2,1/3) (1/2,2/3) ...: crosses FPR = 1 - TPR where TPR rises from 1/3 to 2/3 at FPR 1/2.
    is_fake = np.array([True, False, True, True, False])
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert ranking_metrics(is_fake, p)["eer"] == pytest.approx(0.5)
    # A tie makes a slanted piece from (0, 0) to (1/2, 1): the crossing is at 1/3, which no threshold gives.
    assert ranking_metrics(np.array([True, False, False]), np.array([0.9, 0.9, 0.1]))["eer"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("name", "enough"), [("tpr_at_1pct_fpr", 100), ("tpr_at_5pct_fpr", 20)])
def test_how_many_real_files_a_false_positive_rate_takes(name: str, enough: int) -> None:
    """One real file scores above one of the two fake ones: a false positive that only a large enough set allows."""
    for real, expected in ((enough, 1.0), (enough - 1, 0.5)):
        is_fake = np.array([False] * real + [True] * 2)
        p = np.array([0.9] + [0.1] * (real - 1) + [0.95, 0.5])
        assert ranking_metrics(is_fake, p)[name] == expected


def test_decisions_by_hand() -> None:
    matrix = confusion_matrix(IS_FAKE, P)
    counts = matrix.real_called_real, matrix.real_called_fake, matrix.fake_called_real, matrix.fake_called_fake
    assert counts == (3, 1, 1, 3)
    assert decision_metrics(IS_FAKE, P) == {"accuracy": 0.75, "false_positive_rate": 0.25, "false_negative_rate": 0.25}
    found = decision_metrics(np.array([False, False, False, True]), np.array([0.6, 0.1, 0.1, 0.4]))
    assert (found["false_positive_rate"], found["false_negative_rate"]) == (pytest.approx(1 / 3), 1.0)
    assert confusion_matrix(np.array([False]), np.array([0.5])).real_called_fake == 1, "p = 0.5 is called fake"


def test_calibration_by_hand() -> None:
    # Two bins of fifteen: p 0.0 and 0.05 with one fake of two, and p = 1.0 twice, both fake. The real one counts 1/2,
    # each fake 1/6.
    is_fake = np.array([False, True, True, True])
    p = np.array([0.0, 0.05, 1.0, 1.0])
    bins = [one for one in calibration_bins(is_fake, p) if one.files]
    assert [one.files for one in bins] == [2, 2]
    assert [one.fraction_fake for one in bins] == pytest.approx([0.25, 1.0])
    assert bins[0].mean_p == pytest.approx(0.0125)
    assert bins[1].high == 1.0
    found = calibration_metrics(is_fake, p)
    assert found["ece"] == pytest.approx(2 / 3 * (0.25 - 0.0125))
    assert found["brier"] == pytest.approx(0.95**2 / 6)


def test_latency_by_hand() -> None:
    found = latency_metrics(np.arange(1.0, 102.0))
    assert found == {"p50_s": 51.0, "p90_s": 91.0, "p99_s": 100.0}
    assert all(math.isnan(value) for value in latency_metrics(np.array([])).values())


def test_a_missing_class_gives_no_ranking() -> None:
    assert all(math.isnan(value) for value in ranking_metrics(np.array([True]), np.array([0.5])).values())
    found = score_metrics(np.array([], dtype=bool), np.array([]))
    assert all(math.isnan(value) for value in found.values())
    with pytest.raises(ValueError, match="both classes"):
        roc_curve(np.array([False]), np.array([0.5]))


@settings(deadline=None)
@given(samples)
def test_auc_is_the_mann_whitney_statistic(sample: tuple[list[float], list[float]]) -> None:
    real, fake = (np.array(values) for values in sample)
    higher = (fake[:, None] > real[None, :]).sum() + 0.5 * (fake[:, None] == real[None, :]).sum()
    is_fake, p = arrays(sample)
    found = ranking_metrics(is_fake, p)["auc"]
    assert found == pytest.approx(higher / (real.size * fake.size))
    assert found == pytest.approx(roc_auc_score(is_fake, p))


@settings(deadline=None)
@given(samples)
def test_tpr_at_an_fpr_is_the_best_threshold(sample: tuple[list[float], list[float]]) -> None:
    real, fake = (np.array(values) for values in sample)
    found = ranking_metrics(*arrays(sample))
    for name, limit in (("tpr_at_1pct_fpr", 0.01), ("tpr_at_5pct_fpr", 0.05)):
        thresholds = [*real, *fake, 2.0]
        allowed = [(fake >= t).mean() for t in thresholds if (real >= t).mean() <= limit]
        assert found[name] == pytest.approx(max(allowed))


@settings(deadline=None)
@given(samples)
def test_eer_is_the_same_with_the_classes_exchanged(sample: tuple[list[float], list[float]]) -> None:
    is_fake, p = arrays(sample)
    found = ranking_metrics(is_fake, p)
    exchanged = ranking_metrics(~is_fake, 1 - p)
    assert found["eer"] == pytest.approx(exchanged["eer"])
    assert 0 <= found["eer"] <= 1
    assert math.isfinite(found["eer_threshold"])


@settings(deadline=None)
@given(samples)
def test_the_eer_lies_between_the_errors_of_neighbouring_thresholds(sample: tuple[list[float], list[float]]) -> None:
    real, fake = (np.array(values) for values in sample)
    eer = ranking_metrics(*arrays(sample))["eer"]
    errors = [((real >= t).mean(), (fake < t).mean()) for t in [*real, *fake, 2.0]]
    assert eer <= min(max(pair) for pair in errors) + 1e-12
    assert eer >= max(min(pair) for pair in errors) - 1e-12


@settings(deadline=None)
@given(samples)
def test_brier_and_ece(sample: tuple[list[float], list[float]]) -> None:
    is_fake, p = arrays(sample)
    found = calibration_metrics(is_fake, p)
    weights = balanced(is_fake)
    theirs = brier_score_loss(is_fake, p, pos_label=True, sample_weight=weights)
    assert found["brier"] == pytest.approx(theirs)
    bins = calibration_bins(is_fake, p)
    assert sum(one.files for one in bins) == p.size
    held = [weights[bin_index(p, len(bins)) == number].sum() for number in range(len(bins))]
    gaps = [abs(one.fraction_fake - one.mean_p) if one.files else 0.0 for one in bins]
    assert found["ece"] == pytest.approx(np.dot(held, gaps))
    assert found["ece"] >= abs(0.5 - np.average(p, weights=weights)) - 1e-12


def test_a_calibrated_model_has_little_ece() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    is_fake = rng.random(20_000) < p
    assert calibration_metrics(is_fake, p)["ece"] < 0.02
    assert calibration_metrics(is_fake, p**3)["ece"] > 0.1
    kept = ~is_fake | (rng.random(20_000) < 0.2)
    assert calibration_metrics(is_fake[kept], p[kept])["ece"] < 0.02, "the share of fakes does not count"
