"""Calibration of a detector on labelled scores: a temperature, verdict bands within budgets, and what they do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfake_client.analysis.media_facts import MediaFacts
from deepfake_client.analysis.people import find_people
from deepfake_client.pictures import Box
from deepfake_client.release import BandRecord, Interval, ReleaseBands, VideoRule
from deepfake_client.scorer import OK, Face, FrameScore
from deepfake_client.scores import deciding_probability
from evaluation.statistics.bootstrap import BootstrapPlan, estimate
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
    Temperature,
    fake_probability,
    fit_temperature,
    measure_rates,
    set_edges,
    upper_bound,
)
from training.errors import CalibrationError

_FEW_PERSONS = 20


@dataclass(frozen=True)
class ScoredMedia:
    """A labelled file and the logits of its scored faces.

    Attributes:
        name: For messages.
        is_fake: The truth.
        is_video: Whether it is no single image.
        logits: (faces, labels) float64, one row at least: the faces of a frame after each other.
        person: Who is in it, or another group of files that belong together; "" where nothing says.
        assessable: Whether the model can judge it: False for a model of faces that found none.
        boxes_px: Of the scored faces of each frame; a frame without any has one row. None: each frame has one row, and
            who is in it does not count.
        sketches: Of the frames, see `deepfake_client.media.Frame`.
    """

    name: str
    is_fake: bool
    is_video: bool
    logits: FloatArray
    person: str = ""
    assessable: bool = True
    boxes_px: tuple[tuple[Box, ...], ...] | None = None
    sketches: tuple[bytes, ...] = ()

    def of_frames(self, fake_indices: Sequence[int], temperature: float) -> FloatArray:
        """(frames,) float64: the fake probability of each frame's most suspicious face, which would decide alone."""
        p = fake_probability(self.logits, fake_indices, temperature)
        if self.boxes_px is None:
            return p
        return np.array([max(of_frame) for of_frame in self._by_frame(p)])

    def of_video(self, fake_indices: Sequence[int], temperature: float, rule: VideoRule) -> float:
        """What decides the verdict of all frames together: that of the most suspicious person, as in serving."""
        p = fake_probability(self.logits, fake_indices, temperature)
        if self.boxes_px is None:
            return deciding_probability(p, rule)
        by_frame = self._by_frame(p)
        scores = [
            FrameScore(
                OK, of_frame[0], faces=tuple(Face(box, 1.0, value) for box, value in zip(boxes, of_frame, strict=False))
            )
            for boxes, of_frame in zip(self.boxes_px, by_frame, strict=True)
        ]
        people = find_people(scores, MediaFacts(sketches=self.sketches), ReleaseBands().video, rule)
        if suspect := people.most_suspicious:
            return suspect.fake_probability
        return deciding_probability([of_frame[0] for of_frame in by_frame], rule)

    def _by_frame(self, values: FloatArray) -> list[list[float]]:
        """The rows of each frame."""
        rest = iter(values.tolist())
        return [[next(rest) for _ in boxes or "?"] for boxes in self.boxes_px or ()]


@dataclass(frozen=True)
class Calibration:
    """What a calibration found.

    Attributes:
        temperature: What logits are to be divided by.
        bands: Verdict bands of the scores after it.
        image: What the bands of images do.
        video: What those of videos do; None where they are the bands of images.
        video_rule: What of a video's frames its bands were set on; the mean where they are the bands of images.
        bins_before: Reliability of the fake probability of faces before the temperature.
        bins_after: The same after it.
        notes: What to know when the figures are weighed, one sentence each.
    """

    temperature: Temperature
    bands: ReleaseBands
    image: BandRecord
    video: BandRecord | None
    video_rule: VideoRule
    bins_before: tuple[CalibrationBin, ...]
    bins_after: tuple[CalibrationBin, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Units:
    """What bands are set on: fake probabilities of images, frames or videos.

    Attributes:
        kind: Which, as in `BandRecord.unit`.
        is_fake: (N,) bool.
        before: (N,) float64, the fake probability before the temperature.
        after: (N,) float64, after it.
        weights: (N,) float64: a file counts 1 altogether.
        groups: (N,) intp: equal for what is drawn together in a resample.
        persons: Number of persons; None where nothing says who is who.
    """

    kind: str
    is_fake: BoolArray
    before: FloatArray
    after: FloatArray
    weights: FloatArray
    groups: NDArray[np.intp]
    persons: int | None

    def files(self, *, fake: bool) -> int:
        """Files of a class."""
        return round(float(self.weights[self.is_fake == fake].sum()))


def calibrate(
    media: Sequence[ScoredMedia],
    fake_indices: Sequence[int],
    budget: Budget,
    plan: BootstrapPlan | None = None,
    video_rule: VideoRule = "mean",
) -> Calibration:
    """Fits a temperature and sets the bands of images and videos.

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
    _require_classes(media)
    logits, weights = np.concatenate([m.logits for m in media]), _weights([len(m.logits) for m in media])
    is_fake = np.repeat([m.is_fake for m in media], [len(m.logits) for m in media])
    if not np.isfinite(logits).all():
        raise CalibrationError("the checkpoint gives scores that are not finite; it is damaged")
    before = fake_probability(logits, fake_indices)
    if np.ptp(before) < 1e-9:
        raise CalibrationError(f"every file scores the same ({before[0]:.4f}): there is nothing to calibrate")
    _require_rank(is_fake, before)
    temperature = fit_temperature(logits, fake_indices, is_fake, weights)
    images = _image_units(media, fake_indices, temperature.value)
    if short := _shortage(images, budget):
        raise CalibrationError(f"too few files for the budgets: {short}. Add files, or allow a larger budget")
    image_edges = set_edges(images.is_fake, images.after, budget, images.weights)
    videos, notes = _video_units(media, fake_indices, temperature.value, budget, video_rule)
    video_edges = None if videos is None else set_edges(videos.is_fake, videos.after, budget, videos.weights)
    image = _record(images, image_edges, budget, plan)
    video = _record(videos, video_edges, budget, plan) if videos is not None and video_edges is not None else None
    after = fake_probability(logits, fake_indices, temperature.value)
    bound = f"The temperature is at its bound of {temperature.value:g}: the best fit lies beyond it."
    return Calibration(
        temperature=temperature,
        bands=ReleaseBands(image=image_edges.bands, video=(video_edges or image_edges).bands),
        image=image,
        video=video,
        video_rule=video_rule if video else "mean",
        bins_before=calibration_bins(is_fake, before),
        bins_after=calibration_bins(is_fake, after),
        notes=(
            *((bound,) if temperature.at_bound else ()),
            *_band_notes("images", image, image_edges, budget),
            *notes,
            *(_band_notes("videos", video, video_edges, budget) if video and video_edges else ()),
            *_faceless_notes(media),
        ),
    )


def _require_classes(media: Sequence[ScoredMedia]) -> None:
    for fake, name in ((False, "real"), (True, "fake")):
        if not any(m.is_fake is fake for m in media):
            raise CalibrationError(f"no {name} file could be scored, and calibration needs both classes")


def _require_rank(is_fake: BoolArray, p: FloatArray) -> None:
    auc, reals, fakes = roc_curve(is_fake, p).auc, int((~is_fake).sum()), int(is_fake.sum())
    chance = 2 * float(np.sqrt((reals + fakes + 1) / (12 * reals * fakes)))  # two standard errors of 0.5
    if auc < 0.5 - chance:
        raise CalibrationError(
            f"fakes score below real files (AUC {auc:.3f}): fake and real look swapped, in id2label of config.json, "
            "in --fake-labels, or in the folders real/ and fake/"
        )
    if auc <= 0.5:
        raise CalibrationError(f"the scores do not tell fakes from real files (AUC {auc:.3f})")


def _shortage(units: _Units, budget: Budget) -> str:
    """Which class has too few files to show an error rate as low as its budget, or ""."""
    reals, fakes = units.files(fake=False), units.files(fake=True)
    short = []
    if reals < budget.reals_needed:
        short.append(f"--max-fpr {budget.max_fpr:g} needs {budget.reals_needed} real files, there are {reals}")
    if fakes < budget.fakes_needed:
        short.append(f"--max-fnr {budget.max_fnr:g} needs {budget.fakes_needed} fake files, there are {fakes}")
    return "; ".join(short)


def _weights(counts: Sequence[int]) -> FloatArray:
    """The faces or frames of a file share its weight of 1."""
    return np.concatenate([np.full(count, 1 / count) for count in counts])


def _image_units(media: Sequence[ScoredMedia], fake_indices: Sequence[int], temperature: float) -> _Units:
    images = [m for m in media if not m.is_video]
    both = len({m.is_fake for m in images}) == 2
    chosen = images if both else list(media)
    return _units("images" if both or not any(m.is_video for m in media) else "frames", chosen,
                  lambda m, t: m.of_frames(fake_indices, t), temperature)  # fmt: skip


def _video_units(
    media: Sequence[ScoredMedia], fake_indices: Sequence[int], temperature: float, budget: Budget, rule: VideoRule
) -> tuple[_Units | None, tuple[str, ...]]:
    """The videos, or None and a note where there are too few of them."""

    def score(video: ScoredMedia, temperature: float) -> FloatArray:
        return np.array([video.of_video(fake_indices, temperature, rule)])

    videos = [m for m in media if m.is_video]
    same = "The bands of videos are those of images" + (", for the mean" if rule != "mean" else "")
    if len({m.is_fake for m in videos}) < 2:
        return None, (f"{same}: there are not both real and fake videos.",)
    units = _units("videos", videos, score, temperature)
    if short := _shortage(units, budget):
        return None, (f"{same}: too few videos ({short}).",)
    return units, ()


def _units(
    kind: str, media: Sequence[ScoredMedia], score: Callable[[ScoredMedia, float], FloatArray], temperature: float
) -> _Units:
    before, after = [score(m, 1.0) for m in media], [score(m, temperature) for m in media]
    counts = [len(values) for values in after]
    named = any(m.person for m in media)
    # A file whose person is not known is a group of its own.
    keys = [f"person {m.person}" if m.person else f"file {at}" for at, m in enumerate(media)]
    groups = np.unique(keys, return_inverse=True)[1]
    return _Units(
        kind=kind,
        is_fake=np.repeat([m.is_fake for m in media], counts),
        before=np.concatenate(before),
        after=np.concatenate(after),
        weights=_weights(counts),
        groups=np.repeat(groups, counts),
        persons=int(groups.max()) + 1 if named else None,
    )


def _record(units: _Units, edges: Edges, budget: Budget, plan: BootstrapPlan) -> BandRecord:
    rates = measure_rates(units.is_fake, units.after, edges.bands, units.weights)
    reals, fakes = units.files(fake=False), units.files(fake=True)
    shares = {
        "auc": roc_curve(units.is_fake, units.after).auc,
        "ece_before": calibration_metrics(units.is_fake, units.before)["ece"],
        "ece_after": calibration_metrics(units.is_fake, units.after)["ece"],
        "fpr": rates.fpr,
        "fpr_upper": upper_bound(rates.fpr, reals),
        "fnr": rates.fnr,
        "fnr_upper": upper_bound(rates.fnr, fakes),
        "uncertain": rates.uncertain,
    }
    return BandRecord.model_validate(
        {
            "unit": units.kind,
            "real": reals,
            "fake": fakes,
            "persons": units.persons,
            "tpr": _tpr(units, budget, plan, rates.tpr),
            **{name: round(share, 6) for name, share in shares.items()},
        }
    )


def _tpr(units: _Units, budget: Budget, plan: BootstrapPlan, value: float) -> Interval:
    """The true-positive rate with an interval over persons (or files). Each resample sets the bands again."""
    members = [np.flatnonzero(units.groups == group) for group in range(int(units.groups.max()) + 1)]
    # Persons with real files only, fakes only, and both are drawn apart, so that no resample lacks a class.
    strata = np.array([int(units.is_fake[m].any()) + 2 * int((~units.is_fake[m]).any()) for m in members])

    def statistics(drawn: NDArray[np.intp]) -> dict[str, float]:
        chosen = np.concatenate([members[group] for group in drawn])
        is_fake, p, weights = units.is_fake[chosen], units.after[chosen], units.weights[chosen]
        return {"tpr": measure_rates(is_fake, p, set_edges(is_fake, p, budget, weights).bands, weights).tpr}

    found = estimate(statistics, strata, plan, "")["tpr"]
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
            f"{name}: {record.fpr:.2%} of {record.real} real files are called fake; with so few the true share may be "
            f"up to {record.fpr_upper:.2%} (95%), above the budget of {budget.max_fpr:.2%}."
        )
    if record.persons is not None and record.persons < _FEW_PERSONS:
        notes.append(f"{name}: the files show {record.persons} persons only; the bounds take files as independent.")
    if edges.crossed:
        notes.append(f"{name}: the classes lie apart; scores between them, which hardly any file has, are uncertain.")
    if record.tpr.value < 0.5:
        notes.append(f"{name}: within the budget only {record.tpr.value:.1%} of the fakes are called fake.")
    if record.ece_after > record.ece_before:
        notes.append(f"{name}: the calibration error did not fall ({record.ece_before:.4f} to {record.ece_after:.4f}).")
    return tuple(notes)
