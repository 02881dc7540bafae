"""Compares members with their fusions on the files of a calibration: whether fusing helps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evaluation.statistics.bootstrap import BootstrapPlan, Estimate, Indices, estimate
from evaluation.statistics.metrics import calibration_metrics, roc_curve
from training.calibration.calibration import Calibration
from training.calibration.fitting import UNSCALED
from training.calibration.fusing.fusion import FAKE, FusedMedia, fit_fusion, left_out_scores
from training.calibration.fusing.stacking import FOLDS, FUSION_RULES, FusionRule
from training.calibration.units import ScoredMedia, Units, all_videos, image_units

TOO_FEW = "needs real and fake files of two people each, and a fit without any fifth of them"
"""Why nothing can be said of people left out."""


@dataclass(frozen=True)
class Compared:
    """How well a model, or a fusion, tells files apart.

    Attributes:
        name: Of the model or the rule.
        auc: Area under the ROC curve, with its interval over people.
        ece: Expected calibration error; None where it cannot be told.
    """

    name: str
    auc: Estimate
    ece: float | None


@dataclass(frozen=True)
class Comparison:
    """Members and fusions on the same images, frames or videos.

    A member is taken as it is. What is fitted is judged by cross-validation over people: ECE of the mean (scale and
    bias), AUC and ECE of stacking (the weights too).

    Attributes:
        kind: What is judged, as in `BandRecord.unit`.
        members: Each member.
        mean: The mean of their log-odds.
        stacking: Their weighted sum.
        best: Name of the member with the highest AUC.
        gain: AUC of the chosen fusion minus that of the best member.
    """

    kind: str
    members: tuple[Compared, ...]
    mean: Compared
    stacking: Compared
    best: str
    gain: Estimate


def compare(
    media: Sequence[FusedMedia], names: Sequence[str], rule: FusionRule, found: Calibration, plan: BootstrapPlan
) -> Iterator[Comparison]:
    """Compares them on images or frames, and on videos where these have bands of their own.

    Args:
        media: The files.
        names: Of the members.
        rule: The chosen one.
        found: The calibration by it.
        plan: Resamples and seed of the bootstrap; the seed also draws the folds.
    """
    mean = fit_fusion("mean", media)
    scored = {
        **{str(number): [one.by_member(number) for one in media] for number in range(len(names))},
        "mean": [one.by(mean) for one in media],
    }
    left_out = {one: left_out_scores(media, one, plan.seed) for one in FUSION_RULES}
    kinds: list[Callable[[Sequence[ScoredMedia]], Units]] = [lambda items: image_units(items, FAKE, UNSCALED)]
    if found.videos is not None:
        kinds.append(lambda items: all_videos(items, FAKE, UNSCALED, found.video_rule))
    for units_of in kinds:
        units = {key: units_of(items) for key, items in scored.items()}
        tested = {key: units_of(items) for key, items in left_out.items() if items is not None}
        yield _comparison(names, rule, units, tested, plan)


def _comparison(
    names: Sequence[str],
    rule: FusionRule,
    units: Mapping[str, Units],
    tested: Mapping[FusionRule, Units],
    plan: BootstrapPlan,
) -> Comparison:
    """Of members, by their numbers, and the mean, and of what was fitted without the files that it is tested on."""
    first = units["0"]
    ranked = {key: one.after for key, one in units.items()}
    if "stacking" in tested:
        ranked["stacking"] = tested["stacking"].after
    best = max(range(len(names)), key=lambda number: roc_curve(first.is_fake, ranked[str(number)]).auc)

    def statistics(chosen: Indices) -> dict[str, float]:
        auc = {key: roc_curve(first.is_fake[chosen], p[chosen]).auc for key, p in ranked.items()}
        return {**auc, "gain": auc.get(rule, math.nan) - auc[str(best)]}

    auc = estimate(statistics, first.is_fake, plan, TOO_FEW, first.groups)

    def compared(name: str, key: str, judged: Units | None) -> Compared:
        ece = calibration_metrics(judged.is_fake, judged.after)["ece"] if judged else None
        return Compared(name, auc.get(key, Estimate(None, reason=TOO_FEW)), ece)

    return Comparison(
        first.kind,
        tuple(compared(name, str(number), units[str(number)]) for number, name in enumerate(names)),
        mean=compared("mean", "mean", tested.get("mean")),
        stacking=compared("stacking", "stacking", tested.get("stacking")),
        best=names[best],
        gain=auc["gain"],
    )


def comparison_notes(comparison: Comparison, rule: FusionRule) -> Iterator[str]:
    """What to know when the figures of a fusion are weighed, one sentence each."""
    tested = comparison.stacking
    if rule == "stacking" and tested.auc.value is not None and tested.ece is not None:
        yield (
            f"{comparison.kind}: on people that it was not fitted to, stacking has AUC {tested.auc.value:.4f} and a "
            f"calibration error of {tested.ece:.4f} ({FOLDS} folds)."
        )
    if comparison.gain.value is not None and comparison.gain.value <= 0:
        yield f"{comparison.kind}: fusing ranks them no better than {comparison.best} alone."
