import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from evaluation.statistics.likelihood_ratios import cllr, elub, min_cllr
from evaluation.statistics.tippett import shares_above

IS_FAKE = np.array([False, False, True, True])


def test_cllr_of_known_ratios() -> None:
    assert cllr(np.zeros(4), IS_FAKE) == pytest.approx(1)
    assert cllr(np.array([-9.0, -9, 9, 9]), IS_FAKE) == pytest.approx(0, abs=1e-8)
    # A real file with the ratio 3 costs log2(1 + 3), a fake one with 1/3 the same.
    wrong = math.log10(3) * np.array([1, 1, -1, -1])
    assert cllr(wrong, IS_FAKE) == pytest.approx(2)
    # Classes count alike, whatever their sizes and weights.
    assert cllr(np.array([0.0, 0, 0, 9]), np.array([False, False, False, True])) == pytest.approx(0.5)
    assert cllr(np.array([0.0, -9, 9]), np.array([False, False, True]), np.array([1.0, 3, 1])) == pytest.approx(1 / 8)


def test_min_cllr_is_that_of_scikit_learns_isotonic_regression() -> None:
    rng = np.random.default_rng(0)
    is_fake = rng.random(300) < 0.3
    scores = np.round(rng.normal(is_fake * 1.5, 1), 1)  # with ties
    p = IsotonicRegression(y_min=1e-12, y_max=1 - 1e-12).fit_transform(scores, is_fake)
    prior = is_fake.mean()
    theirs = cllr(np.log10(p / (1 - p)) - math.log10(prior / (1 - prior)), is_fake)
    assert min_cllr(scores, is_fake) == pytest.approx(theirs, abs=1e-6)
    assert min_cllr(scores, is_fake) == pytest.approx(min_cllr(np.exp(scores), is_fake))  # only the order counts
    twice = np.concatenate([scores, scores[is_fake]]), np.concatenate([is_fake, is_fake[is_fake]])
    assert min_cllr(scores, is_fake, np.where(is_fake, 2.0, 1.0)) == pytest.approx(min_cllr(*twice))


def test_bounds_of_ratios_that_separate_the_classes() -> None:
    """With one misleading case more, a ratio t helps while 1 / (fakes + 1) + t / (reals + 1) is at most 1."""
    is_fake = np.arange(102) >= 99
    low, high = elub(np.where(is_fake, 6.0, -6.0), is_fake, np.ones(102))
    assert high == pytest.approx(math.log10(100 * 3 / 4), abs=0.011)
    assert low == pytest.approx(-math.log10(4 * 99 / 100), abs=0.011)
    mirrored = elub(np.where(is_fake, -6.0, 6.0), ~is_fake, np.ones(102))
    assert mirrored == pytest.approx((-high, -low), abs=0.011)
    fewer = elub(np.where(is_fake, 6.0, -6.0), is_fake, np.full(102, 0.5))
    assert low < fewer[0] < 0 < fewer[1] < high


def test_bounds_never_go_beyond_the_ratios_and_useless_ones_say_nothing() -> None:
    is_fake = np.arange(2000) >= 1000
    assert elub(np.where(is_fake, 0.5, -0.3), is_fake, np.ones(2000)) == pytest.approx((-0.3, 0.5), abs=0.011)
    assert elub(np.where(is_fake, -2.0, 2.0), is_fake, np.ones(2000)) == (0, 0)


def test_the_curves_of_a_tippett_plot() -> None:
    values, shares = shares_above(np.array([1.0, -1, 1, 2]), np.array([1.0, 2, 1, 4]))
    np.testing.assert_array_equal(values, [-1, 1, 2])
    np.testing.assert_allclose(shares, [1, 0.75, 0.5])
