"""Fits the fusion of several models to labelled files, and calibrates its score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepfake_client.release import VideoRule
from evaluation.people import groups_of
from evaluation.statistics.bootstrap import BootstrapPlan
from evaluation.statistics.metrics import BoolArray, FloatArray
from export.checkpoint.head import Head
from runtime import Fusion, log_odds
from training.calibration.calibration import Calibration, calibrate, require_classes, require_scores
from training.calibration.fitting import Budget, Scale, fake_probability, fit_scale
from training.calibration.fusing.stacking import FusionRule, fit_shares, folds_of
from training.calibration.units import ScoredMedia, weights_of
from training.errors import CalibrationError

FAKE = (0,)
"""The fake column of two-class logits [log-odds, 0]."""

_NOTHING = 5e-4
"""A share below it is printed as 0.000."""


@dataclass(frozen=True)
class FusedMedia:
    """A labelled file as several models score it.

    Attributes:
        first: What all of them share: its logits are the first one's.
        log_odds: (faces, M) float64, each member's natural log-odds of fake.
        assessable: Whether all members can judge it.
    """

    first: ScoredMedia
    log_odds: FloatArray
    assessable: bool

    @classmethod
    def of(cls, scored: Sequence[ScoredMedia], heads: Sequence[Head]) -> "FusedMedia":
        """Log-odds of float32 probabilities, as the served fusion makes them."""
        pairs = zip(scored, heads, strict=True)
        p = [fake_probability(one.logits, head.softmax_fake_indices).astype(np.float32) for one, head in pairs]
        return cls(scored[0], log_odds(np.stack(p, axis=1)), all(one.assessable for one in scored))

    def by(self, fusion: Fusion) -> ScoredMedia:
        """The file with the fused score as two-class logits."""
        return replace(self.first, logits=_two_class(fusion, self.log_odds), assessable=self.assessable)

    def by_member(self, number: int) -> ScoredMedia:
        """The file with one member's score."""
        members = self.log_odds.shape[1]
        return self.by(Fusion(tuple(float(number == other) for other in range(members))))


@dataclass(frozen=True)
class FusedCalibration:
    """What was found for several models.

    Attributes:
        fusion: With the scale in its weights and intercept.
        found: The calibration of the fused score; before it stands the weighted mean of the log-odds.
    """

    fusion: Fusion
    found: Calibration


def calibrate_fusion(
    media: Sequence[FusedMedia],
    names: Sequence[str],
    rule: FusionRule,
    budget: Budget,
    plan: BootstrapPlan | None = None,
    video_rule: VideoRule = "mean",
) -> FusedCalibration:
    """Fits the weights by the rule, then scale and bands as for one model, see `calibrate`.

    Args:
        media: The held-out files, which no member was trained on.
        names: Of the members.
        rule: How they are fused.
        budget: What the bands may get wrong.
        plan: Resamples and seed of the bootstrap; the seed also draws the folds.
        video_rule: What of a video's frames decides.

    Raises:
        CalibrationError: As for `calibrate`, for the fused score; or a member's scores are all the same, not finite, or
            lower for fakes than for real files.
    """
    plan = plan or BootstrapPlan()
    _require_members(media, names)
    unscaled = Fusion(fit_shares(rule, *_faces(media)))
    found = calibrate([one.by(unscaled) for one in media], FAKE, budget, plan, video_rule)
    fusion = _scaled(unscaled, found.fitted.scale)
    notes = _notes(names, rule, unscaled.weights)
    return FusedCalibration(fusion, replace(found, notes=(*notes, *found.notes)))


def _require_members(media: Sequence[FusedMedia], names: Sequence[str]) -> None:
    require_classes([one.first for one in media])
    log_odds, is_fake, _ = _faces(media)
    for name, own in zip(names, log_odds.T, strict=True):
        if not np.isfinite(own).all():
            raise CalibrationError(f"{name} gives scores that are not finite; it is damaged")
        try:
            require_scores(is_fake, 1 / (1 + np.exp(-own)))
        except CalibrationError as error:
            raise CalibrationError(f"{name}: {error}") from error


def _faces(media: Sequence[FusedMedia]) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Log-odds of all faces, (N, M) float64, their truth and weights, (N,)."""
    counts = [len(one.log_odds) for one in media]
    is_fake = np.repeat([one.first.is_fake for one in media], counts)
    return np.concatenate([one.log_odds for one in media]), is_fake, weights_of(counts)


def fit_fusion(rule: FusionRule, media: Sequence[FusedMedia]) -> Fusion:
    """Weights and scale of files of both classes; see `fit_shares` for what is refused."""
    log_odds, is_fake, weights = _faces(media)
    unscaled = Fusion(fit_shares(rule, log_odds, is_fake, weights))
    return _scaled(unscaled, fit_scale(_two_class(unscaled, log_odds), FAKE, is_fake, weights).scale)


def _scaled(fusion: Fusion, scale: Scale) -> Fusion:
    return Fusion(tuple(weight / scale.temperature for weight in fusion.weights), scale.bias)


def _two_class(fusion: Fusion, log_odds: FloatArray) -> FloatArray:
    """(N, 2) logits of the fused score, [z, 0], of (N, M) log-odds."""
    z = log_odds @ np.array(fusion.weights) + fusion.intercept
    return np.stack([z, np.zeros_like(z)], axis=1)


def left_out_scores(media: Sequence[FusedMedia], rule: FusionRule, seed: int) -> list[ScoredMedia] | None:
    """Each file by the fusion that is fitted to the people of the other folds; None where that cannot be fitted."""
    folds = folds_of([one.first.is_fake for one in media], groups_of([one.first.person for one in media]), seed)
    if folds is None:
        return None
    try:
        fitted = {
            fold: fit_fusion(rule, [one for one, own in zip(media, folds, strict=True) if own != fold])
            for fold in set(folds.tolist())
        }
    except CalibrationError:
        return None
    return [one.by(fitted[fold]) for one, fold in zip(media, folds.tolist(), strict=True)]


def _notes(names: Sequence[str], rule: FusionRule, shares: Sequence[float]) -> Iterator[str]:
    if rule == "mean":
        yield f"The score is the mean of the log-odds of {' and '.join(names)}."
        return
    counted = (f"{name} ({share:.3f})" for name, share in zip(names, shares, strict=True))
    yield f"The score is stacked of {' and '.join(counted)}: these weights were fitted to the same files."
    for name, share in zip(names, shares, strict=True):
        if share < _NOTHING:
            yield f"{name} counts nothing beside the others: leave it out."
