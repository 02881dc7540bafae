import math

import numpy as np
import pytest

from evaluation.statistics.proportions import clustered_upper_bound, effective_trials, upper_bound


def test_the_upper_bound_is_clopper_and_pearsons() -> None:
    assert upper_bound(0.0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))  # the exact bound of no success
    bound = upper_bound(0.1, 50)  # where 5 or fewer of 50 are seen once in twenty times
    assert sum(math.comb(50, k) * bound**k * (1 - bound) ** (50 - k) for k in range(6)) == pytest.approx(0.05)
    assert upper_bound(1.0, 10) == 1.0


def test_each_file_of_its_own_is_a_trial() -> None:
    hits = np.arange(80) < 8
    assert effective_trials(hits, np.arange(80), np.ones(80)) == pytest.approx(80)
    assert clustered_upper_bound(hits, np.arange(80), np.ones(80)) == pytest.approx(upper_bound(0.1, 80))


def test_files_of_a_person_that_are_all_alike_are_one_trial() -> None:
    """Ten persons with twelve files each, all of a person right or all wrong: as ten trials, less some for freedom."""
    groups = np.repeat(np.arange(10), 12)
    trials = effective_trials(groups < 2, groups, np.ones(120))
    assert 7 < trials < 10
    assert clustered_upper_bound(groups < 2, groups, np.ones(120)) > upper_bound(0.2, 10) > upper_bound(0.2, 120)


def test_without_an_error_the_persons_count() -> None:
    none = np.zeros(120, dtype=bool)
    assert clustered_upper_bound(none, np.repeat(np.arange(10), 12), np.ones(120)) == pytest.approx(1 - 0.05**0.1)


def test_the_bound_holds_as_often_as_it_says() -> None:
    """Rates that differ between persons: files taken as independent miss the truth more often than 1 time in 20."""
    rng = np.random.default_rng(0)
    groups, above, naive = np.repeat(np.arange(30), 5), 0, 0
    for _ in range(400):
        hits = rng.random(150) < rng.beta(0.3, 2.7, 30)[groups]  # 0.1 in the mean
        above += clustered_upper_bound(hits, groups, np.ones(150)) >= 0.1
        naive += upper_bound(hits.mean(), 150) >= 0.1
    assert above / 400 >= 0.94 > naive / 400
