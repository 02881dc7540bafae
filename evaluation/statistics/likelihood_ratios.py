"""Likelihood ratios: how much likelier a score is for a fake than for a real file, and how far such numbers carry.

Everywhere `log10_lr` is (N,) float64, `is_fake` is (N,) bool with both classes, and `weights` is (N,) float64 above 0.
The Netherlands Forensic Institute's `lir` computes the same without weights; it needs Python 3.12, this project 3.11.
"""

import math

import numpy as np

from evaluation.statistics.metrics import BoolArray, FloatArray

_STEP = 0.01


def cllr(log10_lr: FloatArray, is_fake: BoolArray, weights: FloatArray | None = None) -> float:
    """Cost of the log-likelihood ratios, in bits: 0 at best, 1 for ratios that always say 1.

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 20,
    2006.
    """
    weight = np.ones(log10_lr.size) if weights is None else weights
    cost = np.logaddexp(0, np.where(is_fake, -1, 1) * log10_lr * math.log(10)) / math.log(2)
    return float(sum(np.average(cost[of], weights=weight[of]) for of in (is_fake, ~is_fake)) / 2)


def min_cllr(scores: FloatArray, is_fake: BoolArray, weights: FloatArray | None = None) -> float:
    """Cllr of the best ratios that rise with the score; what lies between it and Cllr is bad calibration.

    By the pool-adjacent-violators algorithm, as Brümmer and du Preez have it.

    Args:
        scores: (N,) float64, higher for fakes.
        is_fake: The truth.
        weights: All 1 by default.
    """
    from scipy.optimize import isotonic_regression

    weight = np.ones(scores.size) if weights is None else weights
    _, level = np.unique(scores, return_inverse=True)  # equal scores get one ratio
    held = np.bincount(level, weights=weight)
    share = np.bincount(level, weights=weight * is_fake) / held
    posterior = np.clip(isotonic_regression(share, weights=held).x, 1e-15, 1 - 1e-15)
    prior = float(np.average(is_fake, weights=weight))
    log10_lr = np.log10(posterior / (1 - posterior)) - math.log10(prior / (1 - prior))
    return cllr(log10_lr[level], is_fake, weight)


def elub(log10_lr: FloatArray, is_fake: BoolArray, weights: FloatArray) -> tuple[float, float]:
    """Bounds that the number of cases supports: empirical lower and upper bounds of log10 likelihood ratios.

    Vergeer, van Es, de Jongh, Alberink and Stoel, "Numerical likelihood ratios outputted by LR systems are often based
    on extrapolation: when to stop extrapolating?", Science and Justice 56, 2016. With one more, misleading case on each
    side, the ratios must still help at every prior between the bounds: the normalised Bayes error rate is below 1. So
    no ratio is above the number of real cases plus 1, or below 1 over the number of fakes plus 1.

    Args:
        log10_lr: The ratios.
        is_fake: The truth.
        weights: Their sum over a class is its number of cases. Files of one person are one case together.

    Returns:
        The lower bound, at most 0, and the upper one, at least 0, to 0.01.
    """
    fakes, reals = (float(weights[of].sum()) for of in (is_fake, ~is_fake))
    lowest = -min(max(-float(log10_lr.min()), 0.0), math.log10(fakes + 1))
    highest = min(max(float(log10_lr.max()), 0.0), math.log10(reals + 1))
    thresholds = np.arange(math.floor(lowest / _STEP), math.ceil(highest / _STEP) + 1) * _STEP
    called = log10_lr[:, None] > thresholds
    false_alarms = (weights[~is_fake] @ called[~is_fake] + 1) / (reals + 1)
    misses = (weights[is_fake] @ ~called[is_fake] + 1) / (fakes + 1)
    harmful = (misses + 10**thresholds * false_alarms) / np.minimum(1, 10**thresholds) > 1
    low = max(thresholds[harmful & (thresholds <= 0)] + _STEP, default=lowest)
    high = min(thresholds[harmful & (thresholds >= 0)] - _STEP, default=highest)
    return min(round(float(low), 2), 0.0), max(round(float(high), 2), 0.0)
