"""Upper bounds of error rates that were seen on few files, or on many files of few people."""

import numpy as np

from evaluation.statistics.bootstrap import Indices
from evaluation.statistics.metrics import BoolArray, FloatArray

_ROUNDING = 1e-9


def upper_bound(rate: float, trials: float, confidence: float = 0.95) -> float:
    """One-sided upper bound of a rate seen in so many independent trials.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934. Without a single success in n trials it is about 3 / n.
    """
    from scipy.stats import beta

    successes = rate * trials
    return 1.0 if successes >= trials - _ROUNDING else float(beta.ppf(confidence, successes + 1, trials - successes))


def effective_trials(hits: BoolArray, groups: Indices, weights: FloatArray, confidence: float = 0.95) -> float:
    """How many independent trials tell as much about a rate as these dependent ones.

    Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated
    from survey data", Survey Methodology 24, 1998: the number of trials over the design effect, with fewer degrees of
    freedom. A bootstrap over people has no use for this bound: without an error among the files it would say 0.

    Args:
        hits: (N,) bool, N above 0.
        groups: (N,) equal for hits that depend on each other, such as those of one person.
        weights: (N,) float64 above 0; their sum is the number of trials.
        confidence: Of the bound that they are used for.

    Returns:
        At most the number of trials. It is the number of groups where all hits are the same: nothing then shows how
        alike those of a group are, so each group counts as one trial.
    """
    from scipy.stats import t

    trials, where = float(weights.sum()), np.unique(groups, return_inverse=True)[1]
    count, rate = int(where.max()) + 1, float(np.average(hits, weights=weights))
    if count < 2 or not 0 < rate < 1:
        return float(min(count, trials))
    residuals = np.bincount(where, weights=weights * (hits - rate))
    clustered = count / (count - 1) * float((residuals**2).sum()) / trials**2
    simple = rate * (1 - rate) / max(trials - 1, 1)
    if clustered <= simple * trials * _ROUNDING:
        return trials
    freedom = float(t.ppf(confidence, max(trials - 1, 1)) / t.ppf(confidence, count - 1)) ** 2
    return min(trials, trials * simple / clustered * freedom)


def clustered_upper_bound(hits: BoolArray, groups: Indices, weights: FloatArray, confidence: float = 0.95) -> float:
    """One-sided upper bound of a rate seen in trials of which those of a group depend on each other.

    Args:
        hits: (N,) bool, N above 0.
        groups: As for `effective_trials`.
        weights: As for `effective_trials`.
        confidence: Of the bound.
    """
    rate = float(np.average(hits, weights=weights))
    return upper_bound(rate, effective_trials(hits, groups, weights, confidence), confidence)
