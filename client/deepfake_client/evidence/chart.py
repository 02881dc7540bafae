"""Geometry of the report's two drawings: where everything stands, in the units of the SVG's view box."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepfake_client.evidence.document import Bands, FrameEvidence
from deepfake_client.scores import DetectionResult

_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 10


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
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Point:
    """A scored frame."""

    x: float
    y: float
    frame: FrameEvidence


@dataclass(frozen=True)
class Scale:
    """Probabilities 0-1 from left to right, with the bands and the score."""

    width: float
    bands: tuple[BandArea, ...]
    marker_x: float
    edges: tuple[Tick, ...]


@dataclass(frozen=True)
class Timeline:
    """Fake probability over time.

    Attributes:
        width: Of the view box.
        height: Of the view box.
        left: Left edge of the plot.
        right: Right edge of the plot.
        top: Upper edge of the plot, probability 1.
        bottom: Lower edge of the plot, probability 0.
        bands: From top to bottom.
        x_ticks: Times.
        y_ticks: Probabilities.
        lines: Points of each line, as SVG writes them; a frame that was not scored ends one.
        points: The scored frames.
        unscored: x of frames that were not scored.
        mean_y: Height of the mean.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    bands: tuple[BandArea, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[str, ...]
    points: tuple[Point, ...]
    unscored: tuple[float, ...]
    mean_y: float


def draw_scale(bands: Bands, fake_probability: float, width: float = 640.0) -> Scale:
    """The bands on a line from 0 to 1, and the score on it."""
    edges = sorted({0.0, bands.real_below, bands.fake_above, 1.0})
    return Scale(
        width=width,
        bands=_areas(bands, lambda p: p * width),
        marker_x=round(fake_probability * width, 1),
        edges=tuple(Tick(round(edge * width, 1), f"{edge:g}") for edge in edges),
    )


def draw_timeline(
    frames: Sequence[FrameEvidence], bands: Bands, mean: float, width: float = 960.0, height: float = 320.0
) -> Timeline:
    """The frames of a video over time; frames that were not scored keep their place."""
    left, right, top, bottom = 46.0, width - 86.0, 14.0, height - 40.0
    times = [frame.timestamp_s for frame in frames]
    start, span = min(times, default=0.0), max(times, default=0.0) - min(times, default=0.0)

    def x_of(time_s: float) -> float:
        share = (time_s - start) / span if span > 0 else 0.5
        return round(left + share * (right - left), 1)

    def y_of(p: float) -> float:
        return round(bottom - p * (bottom - top), 1)

    lines: list[str] = []
    points: list[Point] = []
    for is_scored, group in itertools.groupby(frames, key=lambda frame: frame.fake_probability is not None):
        if is_scored:
            run = [Point(x_of(f.timestamp_s), y_of(f.fake_probability or 0.0), f) for f in group]
            lines.append(" ".join(f"{point.x},{point.y}" for point in run))
            points += run
    return Timeline(
        width, height, left, right, top, bottom,
        bands=_areas(bands, y_of),
        x_ticks=tuple(Tick(x_of(start + t), format_time(t)) for t in _time_ticks(span)),
        y_ticks=tuple(Tick(y_of(p), f"{p:g}") for p in (0.0, 0.25, 0.5, 0.75, 1.0)),
        lines=tuple(lines),
        points=tuple(points),
        unscored=tuple(x_of(frame.timestamp_s) for frame in frames if frame.fake_probability is None),
        mean_y=y_of(mean),
    )  # fmt: skip


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


def _areas(bands: Bands, place: Callable[[float], float]) -> tuple[BandArea, ...]:
    edges = (
        (DetectionResult.FAKE, bands.fake_above, 1.0),
        (DetectionResult.UNCERTAIN, bands.real_below, bands.fake_above),
        (DetectionResult.REAL, 0.0, bands.real_below),
    )
    placed = ((result, place(low), place(high)) for result, low, high in edges if high > low)
    return tuple(BandArea(result, round(min(a, b), 1), round(abs(a - b), 1)) for result, a, b in placed)
