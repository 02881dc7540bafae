"""What is calibrated: scored files, and the images, frames or videos whose fake probabilities decide verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfake_client.analysis.media_facts import MediaFacts
from deepfake_client.analysis.people import find_people
from deepfake_client.pictures import Box
from deepfake_client.release import ReleaseBands, VideoRule
from deepfake_client.scorer import OK, Face, FrameScore
from deepfake_client.scores import deciding_probability
from evaluation.people import groups_of
from evaluation.statistics.metrics import BoolArray, FloatArray
from evaluation.statistics.proportions import clustered_upper_bound
from training.calibration.fitting import UNSCALED, Budget, Scale, fake_probability


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

    def of_frames(self, fake_indices: Sequence[int], scale: Scale) -> FloatArray:
        """(frames,) float64: the fake probability of each frame's most suspicious face, which would decide alone."""
        p = fake_probability(self.logits, fake_indices, scale)
        if self.boxes_px is None:
            return p
        return np.array([max(of_frame) for of_frame in self._by_frame(p)])

    def of_video(self, fake_indices: Sequence[int], scale: Scale, rule: VideoRule) -> float:
        """What decides the verdict of all frames together: that of the most suspicious person, as in serving."""
        p = fake_probability(self.logits, fake_indices, scale)
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
class Units:
    """What bands are set on: fake probabilities of images, frames or videos.

    Attributes:
        kind: Which, as in `BandRecord.unit`.
        is_fake: (N,) bool.
        before: (N,) float64, the fake probability before the scale.
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

    def upper_bound(self, hits: BoolArray, among: BoolArray) -> float:
        """One-sided 95% upper bound of the share of `among` that are `hits`, over persons (or files).

        Args:
            hits: (N,) bool.
            among: (N,) bool, one at least.
        """
        return clustered_upper_bound(hits[among], self.groups[among], self.weights[among])

    @property
    def cases(self) -> FloatArray:
        """(N,) float64: weights by which all files of a person and class count 1 altogether."""
        group = 2 * self.groups + self.is_fake
        return np.asarray(self.weights / np.bincount(group, weights=self.weights)[group], dtype=np.float64)


def shortage(units: Units, budget: Budget) -> str:
    """Which class has too few files to show an error rate as low as its budget, or ""."""
    reals, fakes = units.files(fake=False), units.files(fake=True)
    short = []
    if reals < budget.reals_needed:
        short.append(f"--max-fpr {budget.max_fpr:g} needs {budget.reals_needed} real files, there are {reals}")
    if fakes < budget.fakes_needed:
        short.append(f"--max-fnr {budget.max_fnr:g} needs {budget.fakes_needed} fake files, there are {fakes}")
    return "; ".join(short)


def weights_of(counts: Sequence[int]) -> FloatArray:
    """The faces or frames of a file share its weight of 1."""
    return np.concatenate([np.full(count, 1 / count) for count in counts])


def image_units(media: Sequence[ScoredMedia], fake_indices: Sequence[int], scale: Scale) -> Units:
    """The images, or the frames of videos where a class has no image."""
    images = [m for m in media if not m.is_video]
    both = len({m.is_fake for m in images}) == 2
    chosen = images if both else list(media)
    return _units("images" if both or not any(m.is_video for m in media) else "frames", chosen,
                  lambda m, s: m.of_frames(fake_indices, s), scale)  # fmt: skip


def video_units(
    media: Sequence[ScoredMedia], fake_indices: Sequence[int], scale: Scale, budget: Budget, rule: VideoRule
) -> tuple[Units | None, tuple[str, ...]]:
    """The videos, or None and a note where there are too few of them."""
    same = "The bands of videos are those of images" + (", for the mean" if rule != "mean" else "")
    if len({m.is_fake for m in media if m.is_video}) < 2:
        return None, (f"{same}: there are not both real and fake videos.",)
    units = all_videos(media, fake_indices, scale, rule)
    if short := shortage(units, budget):
        return None, (f"{same}: too few videos ({short}).",)
    return units, ()


def all_videos(media: Sequence[ScoredMedia], fake_indices: Sequence[int], scale: Scale, rule: VideoRule) -> Units:
    """The videos, one at least."""

    def score(video: ScoredMedia, scale: Scale) -> FloatArray:
        return np.array([video.of_video(fake_indices, scale, rule)])

    return _units("videos", [m for m in media if m.is_video], score, scale)


def _units(
    kind: str, media: Sequence[ScoredMedia], score: Callable[[ScoredMedia, Scale], FloatArray], scale: Scale
) -> Units:
    before = [score(m, UNSCALED) for m in media]
    after = before if scale == UNSCALED else [score(m, scale) for m in media]
    counts = [len(values) for values in after]
    named = any(m.person for m in media)
    groups = groups_of([m.person for m in media])
    return Units(
        kind=kind,
        is_fake=np.repeat([m.is_fake for m in media], counts),
        before=np.concatenate(before),
        after=np.concatenate(after),
        weights=weights_of(counts),
        groups=np.repeat(groups, counts),
        persons=int(groups.max()) + 1 if named else None,
    )
