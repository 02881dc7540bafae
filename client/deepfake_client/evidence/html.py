"""The evidence report as one HTML file that needs nothing else: no script, no network, no font, no style sheet."""

import base64
import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from deepfake_client.analysis.stability import Change
from deepfake_client.evidence.document import BandsOrigin, Evidence, FrameEvidence
from deepfake_client.media import MediaType
from deepfake_client.plain_text import printable
from deepfake_client.presentation.key_frames import PEAK_PROMINENCE
from deepfake_client.release import CARD_ROUTE, VerdictBands
from deepfake_client.scores import DetectionResult, MediaScores

_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 10
_SCALE_WIDTH = 640.0

_BANDS_ORIGIN = {
    BandsOrigin.DEFAULT: "These bands are the project's defaults, used for every model that brings none of its own.",
    BandsOrigin.CHECKPOINT: "These bands come with the model's checkpoint.",
}


def evidence_html(evidence: Evidence) -> str:
    """Renders the report.

    Returns:
        A whole HTML document. Its content security policy allows its own style sheet and `data:` pictures only. Two
        runs' documents differ in nothing but the element with the id `run`.
    """
    css, policy = _style()
    is_video = evidence.input.media_type is MediaType.VIDEO
    calibration = evidence.model.calibration
    all_frames = sorted([*evidence.frames, *evidence.further_frames], key=lambda frame: frame.timestamp_s)
    return _template().render(
        e=evidence,
        css=Markup(css),
        content_security_policy=policy,
        is_video=is_video,
        scored=[frame for frame in evidence.frames if frame.fake_probability is not None],
        faces=sum(frame.face_box_px is not None for frame in evidence.frames),
        frames_by_index={frame.index: frame for frame in evidence.frames},
        bands=evidence.verdict.bands,
        scale=Axis(0.0, 1.0, 0.0, _SCALE_WIDTH),
        timeline=draw_timeline(all_frames) if is_video else None,
        all_frames=all_frames,
        bands_origin=_BANDS_ORIGIN[evidence.verdict.bands.origin],
        score_fields=MediaScores.model_fields,
        calibration=calibration,
        calibrated_on=calibration.of(evidence.input.media_type) if calibration else None,
        card_route=CARD_ROUTE,
        peak_prominence=PEAK_PROMINENCE,
        changes=list(Change),
    )


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and a policy that allows it and nothing else but pictures inside the file."""
    css = files("deepfake_client.evidence").joinpath("templates/evidence.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return css, policy


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("deepfake_client.evidence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["time"] = format_time
    environment.filters["areas"] = band_areas
    environment.filters["line"] = lambda text: printable(" ".join(text.split()))
    return environment.get_template("evidence.html.j2")


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
