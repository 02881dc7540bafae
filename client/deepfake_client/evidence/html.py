"""The evidence report as one HTML file that needs nothing else: no script, no network, no font, no style sheet."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from deepfake_client.analysis.stability import Change
from deepfake_client.evidence.document import BandsOrigin, Evidence
from deepfake_client.evidence.drawing import Axis, band_areas, draw_timeline, format_time
from deepfake_client.media import MediaType
from deepfake_client.plain_text import printable
from deepfake_client.presentation.key_frames import PEAK_PROMINENCE
from deepfake_client.release import CARD_ROUTE
from deepfake_client.scores import MediaScores

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
