"""Scale, likelihood ratios, bands within budgets, and what is refused: on scores made by a known law."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from deepfake_client.release import VerdictBands
from evaluation.statistics.bootstrap import BootstrapPlan
from training.calibration.calibration import Calibration, calibrate
from training.calibration.fitting import (
    HIGHEST,
    LOWEST,
    UNSCALED,
    Budget,
    Scale,
    fake_probability,
    fit_scale,
    measure_rates,
    set_edges,
)
from training.calibration.units import ScoredMedia
from training.errors import CalibrationError

PLAN = BootstrapPlan(resamples=100)
FAKE_FIRST = [0]


def drawn(
    count: int, temperature: float = 1.0, spread: float = 3.0, seed: int = 0, bias: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) logits and labels such that scaling by `temperature` and `bias` gives the true probabilities."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, spread, count)
    is_fake = rng.random(count) < 1 / (1 + np.exp(-odds))
    shift = rng.normal(0, 5, count)  # a softmax does not care, and neither may we
    return np.stack([(odds - bias) * temperature + shift, shift], axis=1), is_fake


def media(logits: np.ndarray, is_fake: np.ndarray, persons: int = 0) -> list[ScoredMedia]:
    return [
        ScoredMedia(f"{at}.png", bool(fake), False, row[None], f"p{at % persons}" if persons else "")
        for at, (row, fake) in enumerate(zip(logits, is_fake, strict=True))
    ]


def with_odds(real: list[float], fake: list[float]) -> list[ScoredMedia]:
    odds = np.array([*real, *fake])
    return media(np.stack([odds, np.zeros_like(odds)], axis=1), np.arange(odds.size) >= len(real))


def found(items: list[ScoredMedia], budget: Budget | None = None, fake_indices: list[int] = FAKE_FIRST) -> Calibration:
    return calibrate(items, fake_indices, budget or Budget(), PLAN)


@pytest.mark.parametrize(("truth", "bias"), [(0.3, 0.0), (1.0, -1.5), (4.0, 0.7)])
def test_the_scale_that_made_the_scores_is_found(truth: float, bias: float) -> None:
    logits, is_fake = drawn(20_000, truth, bias=bias)
    fitted = fit_scale(logits, FAKE_FIRST, is_fake)
    assert fitted.scale.temperature == pytest.approx(truth, rel=0.05)
    assert fitted.scale.bias == pytest.approx(bias, abs=0.07)
    assert not fitted.at_bound
    assert fitted.loss_after <= fitted.loss_before


def test_probabilities_do_not_hold_the_share_of_fakes_among_the_files() -> None:
    logits, is_fake = drawn(40_000, 2.0, bias=0.5)
    fewer = ~is_fake | (np.random.default_rng(3).random(is_fake.size) < 0.25)
    all_of_them, some = (fit_scale(logits[kept], FAKE_FIRST, is_fake[kept]).scale for kept in (fewer | True, fewer))
    assert some.bias == pytest.approx(all_of_them.bias, abs=0.07)
    assert some.temperature == pytest.approx(all_of_them.temperature, rel=0.05)


def test_the_scale_is_that_of_logistic_regression_on_platts_targets() -> None:
    """scikit-learn takes no soft targets: each score counts once for either class, with its target's weight."""
    logits, is_fake = drawn(60, 2.0, seed=4, bias=1.0)
    weights = np.random.default_rng(1).uniform(0.2, 1, 60)
    fakes, reals = weights[is_fake].sum(), weights[~is_fake].sum()
    target = np.where(is_fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    odds = (logits[:, 0] - logits[:, 1])[:, None]
    halved = weights / np.where(is_fake, fakes, reals)
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(
        np.concatenate([odds, odds]), np.repeat([1, 0], 60), np.concatenate([halved * target, halved * (1 - target)])
    )
    ours = fit_scale(logits, FAKE_FIRST, is_fake, weights).scale
    assert 1 / ours.temperature == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert ours.bias == pytest.approx(theirs.intercept_[0], rel=1e-3)


def test_a_scale_can_be_taken_back() -> None:
    logits, scale = np.random.default_rng(0).normal(0, 3, (50, 3)), Scale(2.0, -0.4)
    scaled = logits / scale.temperature + np.array([scale.bias, 0, scale.bias])
    back = scaled / scale.inverse.temperature + np.array([scale.inverse.bias, 0, scale.inverse.bias])
    np.testing.assert_allclose(back, logits, atol=1e-12)


def test_three_classes_are_calibrated_by_the_sum_of_the_fake_ones() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (20_000, 3))
    is_fake = rng.random(20_000) < fake_probability(logits, [0, 2], Scale(2.5))
    assert fit_scale(logits, [0, 2], is_fake).scale.temperature == pytest.approx(2.5, rel=0.05)
    # The served softmax of the divided logits is what was calibrated.
    softmax = np.exp(logits / 2.5) / np.exp(logits / 2.5).sum(1, keepdims=True)
    np.testing.assert_allclose(fake_probability(logits, [0, 2], Scale(2.5)), softmax[:, [0, 2]].sum(1), atol=1e-12)


def test_overconfident_scores_become_calibrated() -> None:
    result = found(media(*drawn(4000, 5.0)))
    assert result.image.ece_after < 0.03 < result.image.ece_before
    assert sum(one.files for one in result.bins_before) == sum(one.files for one in result.bins_after) == 4000


def test_the_bands_keep_both_budgets_and_no_smaller_threshold_would() -> None:
    logits, is_fake = drawn(3000, 1.0, spread=4.0, seed=3)
    p = fake_probability(logits, FAKE_FIRST)
    budget = Budget(0.02, 0.05)
    edges = set_edges(is_fake, p, budget)
    rates = measure_rates(is_fake, p, edges.bands)
    assert rates.fpr <= 0.02
    assert rates.fnr <= 0.05
    assert not edges.crossed
    closer = VerdictBands(real_below=edges.bands.real_below + 0.01, fake_above=edges.bands.fake_above - 0.01)
    worse = measure_rates(is_fake, p, closer)
    assert worse.fpr > 0.02
    assert worse.fnr > 0.05


def test_ties_at_the_threshold_are_not_exceeded() -> None:
    p = np.array([0.1] * 90 + [0.9] * 10 + [0.9] * 20 + [0.95] * 80)
    is_fake = np.arange(200) >= 100
    bands = set_edges(is_fake, p, Budget(0.05, 0.05)).bands
    assert bands.fake_above == pytest.approx(0.9)  # all ten reals there or none
    assert measure_rates(is_fake, p, bands).fpr == 0


def test_crossed_budgets_leave_the_gap_uncertain() -> None:
    result = found(with_odds([-4 + i / 100 for i in range(120)], [3 + i / 100 for i in range(120)]))
    bands = result.bands.image
    assert bands.real_below < 0.5 < bands.fake_above
    assert result.image.fpr == 0
    assert result.image.fnr == 0
    assert result.image.tpr.value >= 0.95
    assert any("classes lie apart" in note for note in result.notes)


def test_separated_scores_keep_a_finite_temperature_that_more_files_sharpen() -> None:
    def temperature(count: int) -> float:
        return found(with_odds([-1.0] * count, [1.0] * count), Budget(0.05, 0.05)).fitted.scale.temperature

    assert LOWEST < temperature(2000) < temperature(30) < 1
    # Platt's target for n files of a class is (n + 1) / (n + 2), whose log-odds are log(n + 1).
    assert temperature(30) == pytest.approx(1 / math.log(31), rel=1e-3)


def test_a_temperature_at_its_bound_says_so() -> None:
    result = found(with_odds([-1e-4] * 100, [1e-4] * 100))
    assert result.fitted.at_bound
    assert result.fitted.scale.temperature == pytest.approx(LOWEST)
    assert "at its bound" in result.notes[0]
    random = np.random.default_rng(0).normal(0, 100, 400)
    noise = np.stack([random + np.repeat([-15.0, 15.0], 200), np.zeros(400)], axis=1)
    assert found(media(noise, np.arange(400) >= 200)).fitted.scale.temperature == pytest.approx(HIGHEST)


def test_a_weak_model_gets_wide_bands_and_a_warning() -> None:
    result = found(media(*drawn(1000, 1.0, spread=0.5)))
    assert result.image.uncertain > 0.8
    assert any("only" in note and "called fake" in note for note in result.notes)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (with_odds([-1.0] * 200, []), "no fake file"),
        (with_odds([], [1.0] * 200), "no real file"),
        (with_odds([0.5] * 200, [0.5] * 200), "scores the same"),
        (with_odds([2.0, 3.0] * 100, [-2.0, -3.0] * 100), "swapped"),
        (with_odds([1.0, -1.0] * 100, [1.0, -1.0] * 100), "do not tell"),
        (with_odds([-1.0] * 99, [1.0] * 99), "needs 100 real files, there are 99"),
        (with_odds([-1.0] * 100, [1.0] * 19), "needs 20 fake files, there are 19"),
        (with_odds([-1.0] * 100, [math.nan] * 20), "not finite"),
    ],
    ids=["no fakes", "no reals", "constant", "inverted", "chance", "few reals", "few fakes", "nan"],
)
def test_what_cannot_be_calibrated_is_refused(items: list[ScoredMedia], reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        found(items)


def test_files_without_a_face_are_noted() -> None:
    items = media(*drawn(400))
    assert not any("no face" in note for note in found(items).notes)
    items[0] = replace(items[0], assessable=False)
    assert "1 of 400 files show no face that is large enough" in found(items).notes[-1]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_budgets_are_shares(share: float) -> None:
    with pytest.raises(CalibrationError, match="budget"):
        Budget(max_fpr=share)


def test_few_reals_are_warned_of_and_many_are_not() -> None:
    few = found(with_odds([-3 + i / 100 for i in range(100)], [3 + i / 100 for i in range(100)]))
    assert few.image.fpr == 0
    assert few.image.fpr_upper == pytest.approx(0.0295, abs=1e-4)
    assert any("above the budget" in note for note in few.notes)
    many = found(with_odds([-3 + i / 500 for i in range(500)], [3 + i / 500 for i in range(500)]))
    assert not any("above the budget" in note for note in many.notes)


def test_intervals_are_drawn_over_persons() -> None:
    rng = np.random.default_rng(5)
    shift = np.repeat(rng.normal(0, 2, 20), 40)  # each person scores high or low as a whole
    is_fake = np.arange(800) % 2 == 1
    logits = np.stack([np.where(is_fake, 2.0, -2.0) + shift + rng.normal(0, 0.3, 800), np.zeros(800)], axis=1)
    alone = media(logits, is_fake)
    grouped = [ScoredMedia(m.name, m.is_fake, m.is_video, m.logits, f"p{at // 40}") for at, m in enumerate(alone)]
    by_file, by_person = found(alone).image, found(grouped).image
    assert (by_file.persons, by_person.persons) == (None, 20)
    assert by_file.tpr.value == by_person.tpr.value
    widths = [(i.tpr.high or 0) - (i.tpr.low or 0) for i in (by_file, by_person)]
    assert widths[1] > 1.5 * widths[0] > 0
    assert by_file.fpr_upper < by_person.fpr_upper


def test_likelihood_ratios_say_what_the_scores_are_worth_and_no_more_than_the_persons_support() -> None:
    """Scores of two normal classes at -1 and 1 have the log likelihood ratio 2 x, whatever the share of fakes."""
    rng = np.random.default_rng(6)
    is_fake = rng.random(4000) < 0.8
    x = rng.normal(np.where(is_fake, 1, -1), 1)
    items = media(np.stack([x, np.zeros_like(x)], axis=1), is_fake)
    ratios = found(items, Budget(0.05, 0.05)).image.likelihood_ratio
    assert ratios is not None
    bands = found(items, Budget(0.05, 0.05))
    p = fake_probability(np.array([[0.8, 0.0]]), FAKE_FIRST, bands.fitted.scale)[0]
    assert ratios.log10_of(p) == pytest.approx(2 * 0.8 / math.log(10), abs=0.1)
    assert ratios.log10_of(1.0) == ratios.high < math.log10(801)
    assert ratios.log10_of(0.0) == ratios.low > -math.log10(3201)
    assert ratios.cllr_min <= ratios.cllr < ratios.cllr_min + 0.05
    few = [replace(m, person=f"p{at % 12}") for at, m in enumerate(items)]
    of_persons = found(few, Budget(0.05, 0.05)).image.likelihood_ratio
    assert of_persons is not None
    assert 0 < of_persons.high < math.log10(13) < ratios.high


def video(name: str, is_fake: bool, odds: list[float]) -> ScoredMedia:
    values = np.array(odds)
    return ScoredMedia(name, is_fake, True, np.stack([values, np.zeros_like(values)], axis=1))


def test_videos_are_judged_by_the_mean_over_their_frames() -> None:
    rng = np.random.default_rng(2)
    clips = [
        video(f"{at}.mp4", at % 2 == 1, list((1.0 if at % 2 else -1.0) + rng.normal(0, 2, 5 + at % 7)))
        for at in range(240)
    ]
    result = found(clips)
    assert result.image.unit == "frames"
    assert result.video is not None
    assert (result.video.unit, result.video.real, result.video.fake) == ("videos", 120, 120)
    assert (result.image.real, result.image.fake) == (120, 120)  # a video counts once, whatever its frames
    assert result.video.tpr.value > result.image.tpr.value + 0.1
    assert result.bands.video != result.bands.image


def test_a_frame_is_judged_by_its_most_suspicious_face() -> None:
    """A calm second face leaves the bands where they were; of two frames each has its own highest face."""
    real, fake = np.linspace(-4, 0, 100), np.linspace(-1, 3, 100)
    alone = with_odds(list(real), list(fake))
    calm = np.array([[-6.0, 0.0]])
    left, right, moved = (0.0, 0.0, 50.0, 50.0), (300.0, 0.0, 350.0, 50.0), (305.0, 0.0, 355.0, 50.0)
    groups = [replace(m, logits=np.concatenate([calm, m.logits]), boxes_px=((left, right),)) for m in alone[:100]]
    one, two = found(alone), found([*groups, *alone[100:]])
    scales = [c.fitted.scale for c in (one, two)]
    edges = [
        (np.log(1 / c.bands.image.fake_above - 1) + s.bias) * s.temperature
        for c, s in zip((one, two), scales, strict=True)
    ]
    assert edges[1] == pytest.approx(edges[0], abs=0.01)
    assert (two.image.real, two.image.fpr) == (100, one.image.fpr)
    # Of a video's frames the most suspicious person decides, who is followed; frames without a face do not count.
    clip = replace(video("a.mp4", False, [-2.0, 1.0, -4.0, 0.0, 3.0]), boxes_px=((left, right), (left, moved), ()))
    p = 1 / (1 + np.exp([-1.0, 0.0]))
    assert clip.of_video(FAKE_FIRST, UNSCALED, "mean") == pytest.approx(p.mean())
    assert replace(clip, boxes_px=None).of_video(FAKE_FIRST, UNSCALED, "mean") == pytest.approx(
        fake_probability(clip.logits, FAKE_FIRST).mean()
    )


def test_too_few_videos_get_the_bands_of_images() -> None:
    clips = [video("a.mp4", False, [-1.0, -2.0]), video("b.mp4", True, [1.0, 2.0])]
    result = found([*media(*drawn(1000)), *clips])
    assert result.video is None
    assert result.bands.video == result.bands.image
    assert result.image.unit == "images"
    assert any("too few videos" in note for note in result.notes)


def test_the_same_scores_give_the_same_calibration() -> None:
    items = media(*drawn(500), persons=30)
    assert found(items) == found(items)


def test_videos_may_be_judged_by_their_highest_stretch() -> None:
    """Fakes are forged for twelve frames of 30: the mean hides it. Bands and verdict are of the same number."""
    rng = np.random.default_rng(3)
    items = []
    for at in range(400):
        odds, forged = rng.normal(rng.normal(-2, 1.5), 0.7, 30), rng.integers(0, 18)
        if at % 2:
            odds[forged : forged + 12] += 6
        items.append(video(f"{at}.mp4", at % 2 == 1, list(odds)))
    budget = Budget(max_fpr=0.01, max_fnr=0.05)
    by_mean, by_stretch = (calibrate(items, FAKE_FIRST, budget, PLAN, rule) for rule in ("mean", "stretch"))
    assert (by_mean.video_rule, by_stretch.video_rule) == ("mean", "stretch")
    assert by_stretch.video.fpr <= 0.01
    assert by_stretch.video.auc > 0.97 > 0.9 > by_mean.video.auc
    assert by_stretch.video.tpr.value > by_mean.video.tpr.value + 0.3
    few = calibrate([*media(*drawn(1000)), *items[:10]], FAKE_FIRST, budget, PLAN, "stretch")
    assert (few.video, few.video_rule) == (None, "mean")
    assert "for the mean" in " ".join(few.notes)
