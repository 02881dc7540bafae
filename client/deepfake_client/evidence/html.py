"""The evidence report as one HTML file that needs nothing else: no script, no network, no font, no style sheet."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from deepfake_client.analysis.stability import Change
from deepfake_client.evidence.document import BandsOrigin, Evidence, Scores
from deepfake_client.evidence.drawing import Axis, band_areas, draw_timeline, format_period, format_time
from deepfake_client.media import MediaType
from deepfake_client.plain_text import NO_BREAK, excerpt, one_decimal, percent, printable, threshold
from deepfake_client.presentation.key_frames import PEAK_PROMINENCE
from deepfake_client.presentation.models import how_fused, weight, what_it_sees
from deepfake_client.presentation.statement import Outcome
from deepfake_client.release import CARD_ROUTE
from deepfake_client.scores import BAND_NAMES, STRETCH_FRAMES, verdict

_SCALE_WIDTH = 640.0
_MOST_COLUMNS = 3
_FOOT_CHARACTERS = 60

_COLOURS = {Outcome.SIGNS: "fake", Outcome.NO_SIGNS: "real", Outcome.INCONCLUSIVE: "uncertain"}
"""Of outcomes; the others are grey."""

_SCORE_NAMES = {
    "risk_score": "Risk",
    "video_score": "90th percentile",
    "peak_risk": "Peak",
    "mean_risk": "Mean",
    "temporal_consistency": "Consistency",
    "confidence": "Confidence",
}

_BANDS_ORIGIN = {
    BandsOrigin.DEFAULT: "the project's defaults",
    BandsOrigin.CHECKPOINT: "from the model's checkpoint",
}


def evidence_html(evidence: Evidence) -> str:
    """Renders the report.

    Returns:
        A whole HTML document. Its content security policy allows its own style sheet and `data:` pictures only. Two
        runs' documents differ in nothing but the element with the id `run`, which also names the case.
    """
    e, bands, decider = evidence, evidence.verdict.bands, evidence.verdict.person
    is_video = e.input.media_type is MediaType.VIDEO
    colour = _COLOURS.get(e.verdict.statement.outcome, "grey")
    all_frames = sorted([*e.frames, *e.further_frames], key=lambda frame: frame.timestamp_s)
    others = [person.person for person in e.people if decider and person.person != decider]
    most_suspicious = sorted(e.people, key=lambda person: -person.fake_probability)
    return _template().render(
        e=e,
        css=Markup(_css(evidence)),
        content_security_policy=evidence_policy(evidence),
        is_video=is_video,
        colour=colour,
        band_of=lambda p: "" if colour == "grey" else verdict(p, bands),
        scored=[frame for frame in e.frames if frame.fake_probability is not None],
        frames_by_index={frame.index: frame for frame in all_frames},
        all_frames=all_frames,
        people=most_suspicious,
        columns=sorted(person.person for person in most_suspicious[:_MOST_COLUMNS]) or [None],
        bands=bands,
        bands_origin=_BANDS_ORIGIN[bands.origin],
        names=BAND_NAMES,
        scale=Axis(0.0, 1.0, 0.0, _SCALE_WIDTH),
        timeline=draw_timeline(all_frames, decider, others) if is_video else None,
        scores=[
            (name, value, Scores.model_fields[field].description)
            for field, name in _SCORE_NAMES.items()
            if (value := getattr(e.scores, field)) is not None
        ],
        calibrated_on=e.model.calibration.of(e.input.media_type) if e.model.calibration else None,
        card_route=CARD_ROUTE,
        peak_prominence=PEAK_PROMINENCE,
        stretch_frames=STRETCH_FRAMES,
        changes=list(Change),
        how_fused=how_fused(e.model),
        period=format_period,
    )


def evidence_policy(evidence: Evidence) -> str:
    """The content security policy that the report states itself, for a header.

    It allows this report's style sheet, and nothing else but pictures inside the file.
    """
    digest = base64.b64encode(hashlib.sha256(_css(evidence).encode()).digest()).decode("ascii")
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _css(evidence: Evidence) -> str:
    return _style_sheet() + _running_foot(evidence.input.file_name)


@cache
def _style_sheet() -> str:
    return files("deepfake_client.evidence").joinpath("templates/evidence.css").read_text("utf-8")


def _running_foot(file_name: str) -> str:
    """The file's name at the foot of each printed page: a rule of its own, since CSS cannot read it from the page."""
    shown = excerpt(file_name, _FOOT_CHARACTERS)
    escaped = "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in shown)
    return f'@page {{ @bottom-left {{ content: "{escaped}"; }} }}\n'


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
    environment.filters |= {
        "areas": band_areas,
        "line": lambda text: printable(" ".join(text.split())),
        "one_decimal": one_decimal,
        "percent": lambda p: percent(p).replace(" ", NO_BREAK),
        "sees": what_it_sees,
        "threshold": lambda p: threshold(p).replace(" ", NO_BREAK),
        "time": format_time,
        "weight": weight,
    }
    return environment.get_template("evidence.html.j2")
