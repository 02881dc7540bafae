"""The report's drawings as numbers: scales, verdict bands and the timeline."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepfake_client.evidence.document import FrameEvidence
from deepfake_client.release import VerdictBands
from deepfake_client.scores import DetectionResult

_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 10


@dataclass(frozen=True)
class Axis:
    """A linear scale: the value `low` stands at `start`, the value `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands; of a scale with one value in the middle."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class BandArea:
    """A verdict band as an interval of the axis of probabilities."""

    result: DetectionResult
    start: float
    length: float

    @property
    def middle(self) -> float:
        """Where its name stands."""
        return self.start + self.length / 2


@dataclass(frozen=True)
class Timeline:
    """Fake probability over time.

    Attributes:
        x: Seconds from left to right.
        y: Probabilities from 0 at the bottom to 1 at the top.
        ticks_s: Times that are marked.
        lines: Scored frames that follow each other; a frame that was not scored ends a line.
    """

    x: Axis
    y: Axis
    ticks_s: tuple[float, ...]
    lines: tuple[tuple[FrameEvidence, ...], ...]


def draw_timeline(frames: Sequence[FrameEvidence], width: float = 960.0, height: float = 320.0) -> Timeline:
    """The frames of a video over time, with room for labels at the left, the right and the bottom."""
    times = [frame.timestamp_s for frame in frames]
    first, last = min(times, default=0.0), max(times, default=0.0)
    groups = itertools.groupby(frames, key=lambda frame: frame.fake_probability is not None)
    return Timeline(
        x=Axis(first, last, 46.0, width - 86.0),
        y=Axis(0.0, 1.0, height - 40.0, 14.0),
        ticks_s=tuple(first + tick for tick in _time_ticks(last - first)),
        lines=tuple(tuple(group) for is_scored, group in groups if is_scored),
    )


def band_areas(bands: VerdictBands, axis: Axis) -> tuple[BandArea, ...]:
    """The bands on an axis of probabilities, from fake to real; an empty one is left out."""
    edges = (
        (DetectionResult.FAKE, bands.fake_above, 1.0),
        (DetectionResult.UNCERTAIN, bands.real_below, bands.fake_above),
        (DetectionResult.REAL, 0.0, bands.real_below),
    )
    placed = ((result, axis.at(low), axis.at(high)) for result, low, high in edges if high > low)
    return tuple(BandArea(result, min(a, b), round(abs(a - b), 1)) for result, a, b in placed)


def format_time(time_s: float) -> str:
    """Seconds below a minute, else minutes or hours: 2.5 s, 1:05, 1:00:05."""
    if time_s < 60:
        return f"{round(time_s, 2):g} s"
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _time_ticks(span_s: float) -> list[float]:
    if span_s <= 0:
        return [0.0]
    step = next((s for s in _STEPS_S if span_s / s < _MOST_TICKS), _STEPS_S[-1] * math.ceil(span_s / 144_000))
    return [i * step for i in range(math.floor(span_s / step + 1e-9) + 1)]
