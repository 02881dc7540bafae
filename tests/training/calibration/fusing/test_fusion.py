"""Fusing several models: weights, cross-validation and comparison on scores made by a known law."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from evaluation.people import groups_of
from evaluation.statistics.bootstrap import BootstrapPlan
from evaluation.statistics.metrics import roc_curve
from export.checkpoint.fusion import distinct
from export.checkpoint.head import NOTHING_SAID, read_head
from runtime import Fusion
from training.calibration.calibration import calibrate
from training.calibration.fitting import Budget
from training.calibration.fusing.comparison import Comparison, compare, comparison_notes
from training.calibration.fusing.fusion import FAKE, FusedMedia, calibrate_fusion
from training.calibration.fusing.stacking import FOLDS, FUSION_RULES, FusionRule, fit_shares, folds_of
from training.calibration.units import ScoredMedia
from training.errors import CalibrationError

PLAN = BootstrapPlan(resamples=100)
BUDGET = Budget(0.05, 0.1)
NAMES = ("one", "two")


def drawn(count: int, weights: tuple[float, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, M) log-odds of members with a spread of 2, and labels whose true log-odds are their weighted sum."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 2, (count, len(weights)))
    return odds, rng.random(count) < 1 / (1 + np.exp(-odds @ np.array(weights)))


def media(odds: np.ndarray, is_fake: np.ndarray, persons: int = 0, frames: int = 0) -> list[FusedMedia]:
    """A file a row; videos of so many frames, if any."""
    made = []
    for at, (row, fake) in enumerate(zip(odds, is_fake, strict=True)):
        rows, person = np.tile(row, (frames or 1, 1)), f"p{at % persons}" if persons else ""
        one = ScoredMedia(f"{at}", bool(fake), bool(frames), np.zeros((len(rows), 2)), person)
        made.append(FusedMedia(one, rows, assessable=True))
    return made


def compared(files: list[FusedMedia], rule: FusionRule = "stacking") -> list[Comparison]:
    found = calibrate_fusion(files, NAMES, rule, BUDGET, PLAN).found
    return list(compare(files, NAMES, rule, found, PLAN))


def test_a_member_that_sees_noise_counts_nothing_in_stacking_and_half_in_the_mean() -> None:
    odds, is_fake = drawn(4000, (0.8, 0.0))
    stacked = calibrate_fusion(media(odds, is_fake), NAMES, "stacking", BUDGET, PLAN)
    assert stacked.fusion.weights[0] == pytest.approx(0.8, abs=0.06)
    assert stacked.fusion.weights[1] == pytest.approx(0, abs=0.03)
    mean = calibrate_fusion(media(odds, is_fake), NAMES, "mean", BUDGET, PLAN)
    assert mean.fusion.weights[0] == mean.fusion.weights[1]
    assert mean.found.notes[0] == "The score is the mean of the log-odds of one and two."
    assert stacked.found.image.auc > mean.found.image.auc + 0.05


def test_the_scale_is_part_of_weights_and_intercept() -> None:
    odds, is_fake = drawn(2000, (0.9, 0.3))
    files = media(odds + 1.5, is_fake)
    for rule in FUSION_RULES:
        done = calibrate_fusion(files, NAMES, rule, BUDGET, PLAN)
        scale = done.found.fitted.scale
        assert sum(done.fusion.weights) == pytest.approx(1 / scale.temperature, rel=1e-12)
        assert done.fusion.intercept == scale.bias
        p = 1 / (1 + np.exp(-((odds + 1.5) @ np.array(done.fusion.weights) + done.fusion.intercept)))
        np.testing.assert_allclose(done.found.images.after, p, atol=1e-12)
        again = calibrate([one.by(done.fusion) for one in files], FAKE, BUDGET, PLAN)  # nothing is left to scale
        assert (again.fitted.scale.temperature, again.fitted.scale.bias) == pytest.approx((1, 0), abs=1e-3)
    mean = calibrate_fusion(files, NAMES, "mean", BUDGET, PLAN)
    assert mean.fusion.weights == (1 / (2 * mean.found.fitted.scale.temperature),) * 2


def test_stacking_is_logistic_regression_on_platts_targets() -> None:
    odds, is_fake = drawn(300, (0.7, 0.4))
    fakes, reals = int(is_fake.sum()), int((~is_fake).sum())
    high, low = (fakes + 1) / (fakes + 2), 1 / (reals + 2)
    target = np.where(is_fake, high, low)
    weight = np.where(is_fake, 1 / fakes, 1 / reals)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(odds, (2, 1)), np.repeat([True, False], 300), np.concatenate([weight * target, weight * (1 - target)])
    )
    expected = model.coef_[0] / model.coef_.sum()
    assert fit_shares("stacking", odds, is_fake, np.ones(300)) == pytest.approx(expected, abs=1e-4)


def test_no_member_counts_against_itself() -> None:
    odds, is_fake = drawn(2000, (1.0, 0.0))
    error = np.random.default_rng(1).normal(0, 2, 2000)  # of the first, which a free regression would subtract
    heard = np.stack([odds[:, 0] + error, error + 0.05 * odds[:, 0]], axis=1)
    assert fit_shares("stacking", heard, is_fake, np.ones(2000)) == (1.0, 0.0)
    notes = calibrate_fusion(media(heard, is_fake), NAMES, "stacking", BUDGET, PLAN).found.notes
    assert "two counts nothing beside the others: leave it out." in notes


def test_folds_keep_people_together_and_leave_both_classes_beside_each() -> None:
    for seed in range(200):
        people = [f"p{number % 9}" for number in range(60)]
        is_fake = np.arange(60) % 9 < 2  # two people have all fakes
        groups = groups_of(people)
        folds = folds_of(is_fake.tolist(), groups, seed)
        assert folds is not None
        assert set(folds.tolist()) == set(range(FOLDS))
        assert all(len(set(folds[groups == group])) == 1 for group in set(groups.tolist()))
        assert all(set(is_fake[folds != fold]) == {True, False} for fold in range(FOLDS))
    assert folds_of([True, True, False, False], groups_of(["a", "a", "b", "c"]), 0) is None


def test_stacking_is_judged_on_people_that_it_was_not_fitted_to() -> None:
    """On 20 people whose labels are chance, the fit finds something; people left out show that there is nothing."""
    rng = np.random.default_rng(0)
    person, is_fake = np.arange(200) % 20, np.arange(200) % 20 < 10
    odds = rng.normal(0, 2, (20, 2))[person] + rng.normal(0, 0.1, (200, 2))
    odds *= np.sign(np.array([roc_curve(is_fake, 1 / (1 + np.exp(-own))).auc for own in odds.T]) - 0.5)
    files = media(odds, is_fake, persons=20)
    fitted = calibrate_fusion(files, NAMES, "stacking", BUDGET, PLAN).found.image.auc
    (comparison,) = compared(files)
    assert comparison.stacking.auc.value is not None
    assert comparison.stacking.auc.value < fitted - 0.05
    assert any(f"AUC {comparison.stacking.auc.value:.4f}" in note for note in comparison_notes(comparison, "stacking"))
    (of_mean,) = compared(files, "mean")
    assert of_mean.mean.auc.value == pytest.approx(
        roc_curve(is_fake, 1 / (1 + np.exp(-odds.mean(axis=1)))).auc, abs=1e-9
    )


def test_the_comparison_shows_whether_fusing_helps() -> None:
    odds, is_fake = drawn(1500, (0.7, 0.7))
    images, videos = media(odds, is_fake, persons=300), media(odds[:400], is_fake[:400], persons=80, frames=3)
    both = compared([*images, *videos], "mean")
    assert [one.kind for one in both] == ["images", "videos"]
    for one in both:
        assert (one.gain.low or 0) > 0
        best = max(row.auc.value or 0 for row in one.members)
        assert one.mean.auc.value == pytest.approx(best + (one.gain.value or 0))
        assert one.mean.ece is not None
        assert list(comparison_notes(one, "mean")) == []
    odds, is_fake = drawn(1500, (0.7, 0.0))
    (useless,) = compared(media(odds, is_fake), "mean")
    assert (useless.best, (useless.gain.high or 0) < 0) == ("one", True)
    assert list(comparison_notes(useless, "mean")) == ["images: fusing ranks them no better than one alone."]
    (alone,) = compared(media(odds, is_fake, persons=1))
    assert (alone.stacking.auc.value, alone.stacking.ece, alone.mean.ece) == (None, None, None)


def test_unusable_members_are_named() -> None:
    odds, is_fake = drawn(400, (0.7, 0.4))
    for changed, reason in (
        (-odds[:, 1], "two: fakes score below real files"),
        (np.full(400, 3.0), "two: every file scores the same"),
        (np.full(400, np.nan), "two gives scores that are not finite"),
    ):
        with pytest.raises(CalibrationError, match=reason):
            calibrate_fusion(media(np.stack([odds[:, 0], changed], axis=1), is_fake), NAMES, "mean", BUDGET, PLAN)
    assert distinct(["a", "b", "a"]) == ("a (1)", "b", "a (3)")


def test_a_file_gets_the_log_odds_of_served_probabilities_and_is_judged_only_where_every_member_can() -> None:
    fake_first = read_head({0: "Fake", 1: "Real"}, multi_label=False, said=NOTHING_SAID)
    fake_last = read_head({0: "real", 1: "other", 2: "fake"}, multi_label=False, said=NOTHING_SAID)
    one = ScoredMedia("0", False, False, np.array([[1.5, 0.5], [15.0, 0.0], [60.0, 0.0]]))
    other = replace(one, logits=np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, -60.0]]), assessable=False)
    file = FusedMedia.of([one, other], [fake_first, fake_last])
    edge, near = np.log(1e7), np.log(1 / (5 * 2**-24) - 1)  # of 1 - 1e-7, and of the float32 that stands for 15
    expected = [[1, 2 - np.log(2)], [near, -np.log(2)], [edge, -edge]]
    np.testing.assert_allclose(file.log_odds, expected, atol=1e-3)
    fused = file.by(Fusion((0.5, 0.25), 0.1))
    np.testing.assert_allclose(fused.logits[:, 0], file.log_odds @ [0.5, 0.25] + 0.1)
    assert fused == replace(one, logits=fused.logits, assessable=False)
