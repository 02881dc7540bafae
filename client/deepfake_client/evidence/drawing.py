"""The report's drawings as numbers: scales, verdict bands and the timeline."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepfake_client.evidence.document import FrameEvidence
from deepfake_client.plain_text import NO_BREAK
from deepfake_client.release import VerdictBands
from deepfake_client.scores import BAND_NAMES, DetectionResult

_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 8
_LEAST_NAMED = 0.19
"""Length of a band on the scale from 0 to 1 that has room for its name."""

Line = tuple[tuple[float, float], ...]
"""Points that are joined: seconds, fake probability."""


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
    """A verdict band as an interval of the axis of probabilities.

    Attributes:
        result: Of the band.
        start: Where it begins.
        length: How long it is.
        name: For people; "" where the band is too narrow for it.
    """

    result: DetectionResult
    start: float
    length: float
    name: str

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
        lines: Of who decides; a frame without their face, or not scored, ends a line.
        other_lines: Of the other people.
    """

    x: Axis
    y: Axis
    ticks_s: tuple[float, ...]
    lines: tuple[Line, ...]
    other_lines: tuple[Line, ...]


def draw_timeline(
    frames: Sequence[FrameEvidence],
    deciding: int | None,
    others: Iterable[int] = (),
    *,
    width: float = 720.0,
    height: float = 190.0,
) -> Timeline:
    """The frames of a video over time, with room for labels at the left, the right and the bottom.

    Args:
        frames: In the order of time.
        deciding: The person who decides the verdict; None for the frames themselves.
        others: The other people.
        width: Of the drawing.
        height: Of the drawing.
    """
    times = [frame.timestamp_s for frame in frames]
    first, last = min(times, default=0.0), max(times, default=0.0)
    return Timeline(
        x=Axis(first, last, 68.0, width - 84.0),
        y=Axis(0.0, 1.0, height - 30.0, 10.0),
        ticks_s=tuple(first + tick for tick in _time_ticks(last - first)),
        lines=_lines(frames, deciding),
        other_lines=tuple(line for person in others for line in _lines(frames, person)),
    )


def band_areas(bands: VerdictBands, axis: Axis) -> tuple[BandArea, ...]:
    """The bands on an axis of probabilities, from fake to real; an empty one is left out."""
    edges = (
        (DetectionResult.FAKE, bands.fake_above, 1.0),
        (DetectionResult.UNCERTAIN, bands.real_below, bands.fake_above),
        (DetectionResult.REAL, 0.0, bands.real_below),
    )
    return tuple(
        BandArea(
            result,
            min(axis.at(low), axis.at(high)),
            round(abs(axis.at(high) - axis.at(low)), 1),
            BAND_NAMES[result] if high - low >= _LEAST_NAMED else "",
        )
        for result, low, high in edges
        if high > low
    )


def format_period(start_s: float, end_s: float) -> str:
    """From when to when; one time where both read the same: 2.5 s to 1:05, at 2.5 s."""
    start, end = format_time(start_s), format_time(end_s)
    return f"at {start}" if start == end else f"{start} to {end}"


def format_time(time_s: float) -> str:
    """Seconds below a minute, else minutes or hours: 2.5 s, 1:05, 1:00:05."""
    if time_s < 60:
        return f"{round(time_s, 2):g}{NO_BREAK}s"
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _lines(frames: Sequence[FrameEvidence], person: int | None) -> tuple[Line, ...]:
    points = [(frame.timestamp_s, frame.probability_of(person)) for frame in frames]
    groups = itertools.groupby(points, key=lambda point: point[1] is not None)
    return tuple(tuple((t, p) for t, p in group if p is not None) for is_scored, group in groups if is_scored)


def _time_ticks(span_s: float) -> list[float]:
    if span_s <= 0:
        return [0.0]
    step = next((s for s in _STEPS_S if span_s / s < _MOST_TICKS), _STEPS_S[-1] * math.ceil(span_s / 100_800))
    return [i * step for i in range(math.floor(span_s / step + 1e-9) + 1)]
