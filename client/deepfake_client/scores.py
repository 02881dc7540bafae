"""From frame probabilities to scores and a verdict: pure numpy, the formulas of the HTTP contract."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from deepfake_client.media import MediaType, TextEnum
from deepfake_client.release import VerdictBands, VideoRule

MAX_SCORED_FRAMES = 30

STRETCH_FRAMES = 3
"""Frames one after another that count as a stretch. Where single frames of a real video lie in the fake band by chance
one time in 20, 30 of them have two in a row in 7% of the cases, and three in 0.3%."""


class DetectionResult(TextEnum):
    """The three possible results."""

    REAL = "real"
    FAKE = "fake"
    UNCERTAIN = "uncertain"


BAND_NAMES = {
    DetectionResult.FAKE: "signs",
    DetectionResult.UNCERTAIN: "inconclusive",
    DetectionResult.REAL: "no sign",
}
"""For people."""


class MediaScores(BaseModel):
    """Scores of one image or video, 0-100: eight views of the fake probabilities p of its scored frames."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    video_score: float
    """90th percentile of the frames' fake probability: nine of ten frames lie at or below it."""
    peak_risk: float
    """The highest frame's fake probability; one odd frame is enough to raise it."""
    mean_risk: float
    """Mean of the frames' fake probabilities."""
    audio_score: float
    """Always 0: no sound is analysed. It says nothing about a sound track."""
    gan_fingerprint: float
    """The same as video_score: the traces that generators leave are not analysed."""
    temporal_consistency: float
    """Whether the frames' fake probabilities agree: 100 if all are equal, 0 if they vary strongly. It says nothing
    about motion. Of a still it is always 100."""
    risk_score: float
    """video_score; with a highest frame more than 10 above it, 0.7 of it and 0.3 of that frame."""
    confidence: float
    """Mean over the frames of p or 1 - p, whichever is larger: 50 is undecided. It is not how likely the verdict is
    right."""

    def rounded(self, digits: int = 2) -> dict[str, float]:
        """The scores by name, rounded for output."""
        return {name: round(value, digits) for name, value in self.model_dump().items()}


def media_scores(fake_probabilities: Sequence[float] | NDArray[np.floating[Any]], media_type: MediaType) -> MediaScores:
    """Aggregates the fake probabilities of the scored frames, unrounded.

    Args:
        fake_probabilities: p of each scored frame, 0-1, in order; at least one, all finite.
        media_type: Only a VIDEO has a temporal consistency other than 100.

    Raises:
        ValueError: There is no probability, or one is not within 0-1.
    """
    p = np.asarray(fake_probabilities, dtype=np.float64)
    if p.ndim != 1 or p.size == 0 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("need one or more probabilities within 0-1")
    video_score = float(np.percentile(p, 90, method="linear")) * 100
    peak_risk = float(p.max()) * 100
    consistency = 100.0
    if media_type is MediaType.VIDEO and p.size >= 2:
        consistency = float(np.clip(100 - 1000 * p.var(), 0, 100))
    risk_score = 0.7 * video_score + 0.3 * peak_risk if peak_risk > video_score + 10 else video_score
    return MediaScores(
        video_score=video_score,
        peak_risk=peak_risk,
        mean_risk=float(p.mean()) * 100,
        audio_score=0.0,
        gan_fingerprint=video_score,
        temporal_consistency=consistency,
        risk_score=float(np.clip(risk_score, 0, 100)),
        confidence=float(np.maximum(p, 1 - p).mean()) * 100,
    )


def deciding_probability(
    fake_probabilities: Sequence[float] | NDArray[np.floating[Any]], rule: VideoRule = "mean"
) -> float:
    """What of the frames decides the verdict.

    Args:
        fake_probabilities: p of each scored frame, 0-1, in order; at least one.
        rule: `mean` of all, or `stretch`: the highest mean of `STRETCH_FRAMES` one after another, of all if there are
            no more.
    """
    p = list(map(float, fake_probabilities))
    return mean(p[deciding_frames(p, rule)])


def deciding_frames(fake_probabilities: Sequence[float], rule: VideoRule = "mean") -> slice:
    """Which frames `deciding_probability` is the mean of; of several stretches that are equally high the first."""
    count = len(fake_probabilities) if rule == "mean" else min(STRETCH_FRAMES, len(fake_probabilities))
    starts = range(len(fake_probabilities) - count + 1)
    first = max(starts, key=lambda i: mean(fake_probabilities[i : i + count]))
    return slice(first, first + count)


def mean(values: Sequence[float]) -> float:
    """The mean of one or more values."""
    return sum(values) / len(values)


def sample_indices(count: int, limit: int = MAX_SCORED_FRAMES) -> list[int]:
    """Which of `count` frames are scored: all up to `limit`, else `limit` of them, evenly, first and last included.

    For n > limit frames: (i * (n - 1) + (limit - 1) // 2) // (limit - 1), i = 0 .. limit - 1, which is the contract's
    (i * (n - 1) + 14) // 29 for 30.
    """
    if count <= limit:
        return list(range(count))
    if limit == 1:
        return [0]
    return [(i * (count - 1) + (limit - 1) // 2) // (limit - 1) for i in range(limit)]


def verdict(fake_probability: float, bands: VerdictBands) -> DetectionResult:
    """Fake above the upper bound, real below the lower one, uncertain between them (bounds included)."""
    if fake_probability > bands.fake_above:
        return DetectionResult.FAKE
    if fake_probability < bands.real_below:
        return DetectionResult.REAL
    return DetectionResult.UNCERTAIN
