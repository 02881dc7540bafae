"""Calibration of a detector on labelled scores: a scale, verdict bands within budgets, and what they do."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deepfake_client.release import BandRecord, Interval, ReleaseBands, VideoRule
from evaluation.statistics.bootstrap import BootstrapPlan, Indices, estimate
from evaluation.statistics.metrics import (
    BoolArray,
    CalibrationBin,
    FloatArray,
    calibration_bins,
    calibration_metrics,
    roc_curve,
)
from training.calibration.fitting import (
    Budget,
    Edges,
    FittedScale,
    fake_probability,
    fit_scale,
    measure_rates,
    set_edges,
)
from training.calibration.likelihood import fit_likelihood_ratios
from training.calibration.units import ScoredMedia, Units, image_units, shortage, video_units, weights_of
from training.errors import CalibrationError

_FEW_PERSONS = 20


@dataclass(frozen=True)
class Calibration:
    """What a calibration found.

    Attributes:
        fitted: How logits are to be scaled.
        bands: Verdict bands of the scores after it.
        image: What the bands of images do.
        video: What those of videos do; None where they are the bands of images.
        video_rule: What of a video's frames its bands were set on; the mean where they are the bands of images.
        images: What the bands of images were set on.
        videos: What those of videos were set on; None where they are the bands of images.
        bins_before: Reliability of the fake probability of faces before the scale.
        bins_after: The same after it.
        notes: What to know when the figures are weighed, one sentence each.
    """

    fitted: FittedScale
    bands: ReleaseBands
    image: BandRecord
    video: BandRecord | None
    video_rule: VideoRule
    images: Units = field(compare=False)
    videos: Units | None = field(compare=False)
    bins_before: tuple[CalibrationBin, ...]
    bins_after: tuple[CalibrationBin, ...]
    notes: tuple[str, ...]


def calibrate(
    media: Sequence[ScoredMedia],
    fake_indices: Sequence[int],
    budget: Budget,
    plan: BootstrapPlan | None = None,
    video_rule: VideoRule = "mean",
) -> Calibration:
    """Fits a scale and sets the bands of images and videos.

    The bands of images are set on images where both classes have some, else on the frames of videos. The bands of
    videos are set on what the rule makes of each video's frames where there are enough videos for the budgets. Else
    they are the bands of images, for the mean: a mean over frames strays less from its class than a single frame does.

    Args:
        media: The held-out files, which the model was not trained on.
        fake_indices: The fake classes.
        budget: What the bands may get wrong.
        plan: Resamples and seed of the bootstrap.
        video_rule: What of a video's frames decides.

    Raises:
        CalibrationError: A class is missing or too small for the budgets, all scores are alike, or the model scores
            fakes below real files.
    """
    plan = plan or BootstrapPlan()
    require_classes(media)
    logits, weights = np.concatenate([m.logits for m in media]), weights_of([len(m.logits) for m in media])
    is_fake = np.repeat([m.is_fake for m in media], [len(m.logits) for m in media])
    if not np.isfinite(logits).all():
        raise CalibrationError("the checkpoint gives scores that are not finite; it is damaged")
    before = fake_probability(logits, fake_indices)
    require_scores(is_fake, before)
    if (auc := roc_curve(is_fake, before).auc) <= 0.5:
        raise CalibrationError(f"the scores do not tell fakes from real files (AUC {auc:.3f})")
    fitted = fit_scale(logits, fake_indices, is_fake, weights)
    scale = fitted.scale
    images = image_units(media, fake_indices, scale)
    if short := shortage(images, budget):
        raise CalibrationError(f"too few files for the budgets: {short}. Add files, or allow a larger budget")
    image_edges = set_edges(images.is_fake, images.after, budget, images.weights)
    videos, notes = video_units(media, fake_indices, scale, budget, video_rule)
    video_edges = None if videos is None else set_edges(videos.is_fake, videos.after, budget, videos.weights)
    image = _record(images, image_edges, budget, plan)
    video = _record(videos, video_edges, budget, plan) if videos is not None and video_edges is not None else None
    after = fake_probability(logits, fake_indices, scale)
    bound = f"The temperature is at its bound of {scale.temperature:g}: the best fit lies beyond it."
    return Calibration(
        fitted=fitted,
        bands=ReleaseBands(image=image_edges.bands, video=(video_edges or image_edges).bands),
        image=image,
        video=video,
        video_rule=video_rule if video else "mean",
        images=images,
        videos=videos,
        bins_before=calibration_bins(is_fake, before),
        bins_after=calibration_bins(is_fake, after),
        notes=(
            *((bound,) if fitted.at_bound else ()),
            *_band_notes("images", image, image_edges, budget),
            *notes,
            *(_band_notes("videos", video, video_edges, budget) if video and video_edges else ()),
            *_faceless_notes(media),
        ),
    )


def require_classes(media: Sequence[ScoredMedia]) -> None:
    """Refuses files of one class.

    Raises:
        CalibrationError: A class is missing.
    """
    for fake, name in ((False, "real"), (True, "fake")):
        if not any(m.is_fake is fake for m in media):
            raise CalibrationError(f"no {name} file could be scored, and calibration needs both classes")


def require_scores(is_fake: BoolArray, p: FloatArray) -> None:
    """Refuses scores that say nothing, or the opposite of what they should.

    Args:
        is_fake: (N,) bool, the truth; both classes must be there.
        p: (N,) float64 fake probabilities.

    Raises:
        CalibrationError: All are the same, or fakes score below real files by more than chance.
    """
    if np.ptp(p) < 1e-9:
        raise CalibrationError(f"every file scores the same ({p[0]:.4f}): there is nothing to calibrate")
    auc, reals, fakes = roc_curve(is_fake, p).auc, int((~is_fake).sum()), int(is_fake.sum())
    chance = 2 * float(np.sqrt((reals + fakes + 1) / (12 * reals * fakes)))  # two standard errors of 0.5
    if auc < 0.5 - chance:
        raise CalibrationError(
            f"fakes score below real files (AUC {auc:.3f}): fake and real look swapped, in id2label of config.json, "
            "in --fake-labels, or in the folders real/ and fake/"
        )


def _record(units: Units, edges: Edges, budget: Budget, plan: BootstrapPlan) -> BandRecord:
    rates = measure_rates(units.is_fake, units.after, edges.bands, units.weights)
    real, fake = ~units.is_fake, units.is_fake
    shares = {
        "auc": roc_curve(units.is_fake, units.after).auc,
        "ece_before": calibration_metrics(units.is_fake, units.before)["ece"],
        "ece_after": calibration_metrics(units.is_fake, units.after)["ece"],
        "fpr": rates.fpr,
        "fpr_upper": units.upper_bound(units.after > edges.bands.fake_above, real),
        "fnr": rates.fnr,
        "fnr_upper": units.upper_bound(units.after < edges.bands.real_below, fake),
        "uncertain": rates.uncertain,
    }
    return BandRecord.model_validate(
        {
            "unit": units.kind,
            "real": units.files(fake=False),
            "fake": units.files(fake=True),
            "persons": units.persons,
            "tpr": _tpr(units, budget, plan, rates.tpr),
            "likelihood_ratio": fit_likelihood_ratios(units),
            **{name: round(share, 6) for name, share in shares.items()},
        }
    )


def _tpr(units: Units, budget: Budget, plan: BootstrapPlan, value: float) -> Interval:
    """The true-positive rate with an interval over persons (or files). Each resample sets the bands again."""

    def statistics(chosen: Indices) -> dict[str, float]:
        is_fake, p, weights = units.is_fake[chosen], units.after[chosen], units.weights[chosen]
        return {"tpr": measure_rates(is_fake, p, set_edges(is_fake, p, budget, weights).bands, weights).tpr}

    found = estimate(statistics, units.is_fake, plan, "", units.groups)["tpr"]
    low, high = (None if end is None else round(end, 6) for end in (found.low, found.high))
    return Interval(value=round(value, 6), low=low, high=high)


def _faceless_notes(media: Sequence[ScoredMedia]) -> tuple[str, ...]:
    faceless = sum(not one.assessable for one in media)
    if not faceless:
        return ()
    return (f"{faceless} of {len(media)} files show no face that is large enough: a service calls them uncertain.",)


def _band_notes(name: str, record: BandRecord, edges: Edges, budget: Budget) -> tuple[str, ...]:
    notes = []
    if record.unit == "frames":
        notes.append(f"The bands of {name} are set on frames of videos, each video counting once.")
    if record.fpr_upper > budget.max_fpr:
        notes.append(
            f"{name}: {record.fpr:.2%} of {record.real} real files{_of_persons(record)} are called fake; with so few "
            f"the true share may be up to {record.fpr_upper:.2%} (95%), above the budget of {budget.max_fpr:.2%}."
        )
    if record.persons is not None and record.persons < _FEW_PERSONS:
        notes.append(f"{name}: the files show {record.persons} persons only: bounds and intervals are rough.")
    if edges.crossed:
        notes.append(f"{name}: the classes lie apart; scores between them, which hardly any file has, are uncertain.")
    if record.tpr.value < 0.5:
        notes.append(f"{name}: within the budget only {record.tpr.value:.1%} of the fakes are called fake.")
    if record.ece_after > record.ece_before:
        notes.append(f"{name}: the calibration error did not fall ({record.ece_before:.4f} to {record.ece_after:.4f}).")
    return tuple(notes)


def _of_persons(record: BandRecord) -> str:
    return "" if record.persons is None else f" of {record.persons} persons"
