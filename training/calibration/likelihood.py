"""Likelihood ratios of the probabilities that decide verdicts: fitted to images or videos, and bounded by their number.

The calibration of scores is made on faces. A verdict's probability is the highest of several, or a mean over frames, so
the ratios are fitted anew to what decides: the fitted odds where each class counts half, as in Morrison, "Tutorial on
logistic-regression calibration and fusion", Australian Journal of Forensic Sciences 45, 2013.
"""

import math

import numpy as np

from deepfake_client.release import LikelihoodRatios
from evaluation.statistics.likelihood_ratios import cllr, elub, min_cllr
from evaluation.statistics.metrics import FloatArray
from training.calibration.fitting import fit_scale
from training.calibration.units import Units


def fit_likelihood_ratios(units: Units) -> LikelihoodRatios:
    """Fits them to the probabilities after the scale. Bounds count persons where they are known, else files."""
    odds = _log_odds(units)
    scale = fit_scale(np.stack([odds, np.zeros_like(odds)], axis=1), [0], units.is_fake, units.weights).scale
    slope, intercept = 1 / scale.temperature, scale.bias / math.log(10)
    log10_lr = slope * odds / math.log(10) + intercept
    low, high = elub(log10_lr, units.is_fake, units.cases)
    return LikelihoodRatios(
        slope=round(slope, 6),
        intercept=round(intercept, 6),
        low=low,
        high=high,
        cllr=round(cllr(np.clip(log10_lr, low, high), units.is_fake, units.weights), 6),
        cllr_min=round(min_cllr(odds, units.is_fake, units.weights), 6),
    )


def log10_ratios(units: Units, ratios: LikelihoodRatios) -> FloatArray:
    """(N,) float64: the bounded log10 likelihood ratio of each unit."""
    return np.array([ratios.log10_of(p) for p in units.after.tolist()])


def _log_odds(units: Units) -> FloatArray:
    p = np.clip(units.after, 1e-12, 1 - 1e-12)
    return np.log(p / (1 - p))
