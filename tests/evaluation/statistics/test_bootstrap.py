import math

import numpy as np
import pytest
from scipy.stats import norm

from evaluation.statistics.bootstrap import BootstrapPlan, estimate, resample
from evaluation.statistics.metrics import ranking_metrics


def test_resamples_keep_the_size_of_each_stratum() -> None:
    strata = np.array([0, 1, 1, 0, 1])
    drawn = list(resample(strata, BootstrapPlan(50)))
    assert len(drawn) == 50
    assert all(sorted(strata[indices]) == [0, 0, 1, 1, 1] for indices in drawn)
    assert len({tuple(indices) for indices in drawn}) > 25


def test_groups_are_drawn_as_a_whole_and_each_kind_of_group_stays() -> None:
    """Persons 0 to 2 have a real and two fake files each, person 3 a real one and person 4 a fake one."""
    groups = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4])
    strata = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1])
    for chosen in resample(strata, BootstrapPlan(50), groups):
        counts = np.bincount(chosen, minlength=11)
        for person in range(5):
            assert len(set(counts[groups == person])) == 1
        assert counts[groups < 3].sum() == 9
        assert counts[9] == counts[10] == 1


def test_files_alone_are_drawn_as_groups_of_one() -> None:
    strata = np.array([0, 1, 1, 0, 1])
    pairs = zip(resample(strata, BootstrapPlan(20)), resample(strata, BootstrapPlan(20), np.arange(5)), strict=True)
    assert all((one == other).all() for one, other in pairs)


def test_intervals_over_persons_are_as_wide_as_the_persons_differ() -> None:
    """20 persons of standard deviation 1 with 30 like files each: the mean's error is 1 / sqrt(20)."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 30)
    person = rng.normal(0, 1, 20)
    values = person[groups]
    found = estimate(lambda i: {"m": float(values[i].mean())}, np.zeros(600), BootstrapPlan(2000), "", groups)["m"]
    assert found.high is not None
    assert found.low is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * person.std() / math.sqrt(20), rel=0.1)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(30)

    def mean(seed: int) -> tuple[float | None, float | None]:
        found = estimate(lambda i: {"m": float(values[i].mean())}, np.zeros(30), BootstrapPlan(100, seed), "")["m"]
        return found.low, found.high

    assert mean(1) == mean(1)
    assert mean(1) != mean(2)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    strata = np.array([0] * 40 + [1] * 40)
    hits = 0
    for seed in range(200):
        values = np.where(strata == 1, rng.normal(1, 1, 80), rng.normal(0, 1, 80))

        def difference(i: np.ndarray, values: np.ndarray = values) -> dict[str, float]:
            return {"d": float(values[i][strata[i] == 1].mean() - values[i][strata[i] == 0].mean())}

        found = estimate(difference, strata, BootstrapPlan(150, seed), "")["d"]
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1 <= found.high
    assert 0.90 <= hits / 200 <= 0.98


def test_the_interval_of_an_auc_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(3)
    is_fake = np.array([False] * 150 + [True] * 150)
    p = norm.cdf(rng.normal(is_fake * 1.0, 1))
    found = estimate(lambda i: ranking_metrics(is_fake[i], p[i]), is_fake, BootstrapPlan(300), "")["auc"]
    auc = found.value
    assert auc is not None
    assert found.low is not None
    assert found.high is not None
    assert auc == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.06)
    # Hanley and McNeil 1982, equation 1.
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = math.sqrt((auc * (1 - auc) + 149 * (q1 - auc**2) + 149 * (q2 - auc**2)) / 150**2)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_what_cannot_be_computed_has_a_reason_and_no_number() -> None:
    found = estimate(lambda i: {"none": math.nan, "size": float(i.size)}, np.zeros(3), BootstrapPlan(100), "why")
    assert found["none"].value is None
    assert (found["none"].low, found["none"].high, found["none"].reason) == (None, None, "why")
    assert (found["size"].value, found["size"].reason) == (3.0, "")
    assert estimate(lambda i: {"x": math.nan}, np.array([]), BootstrapPlan(100), "no file")["x"].reason == "no file"
