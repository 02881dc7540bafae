"""Builds the evidence report of a detection."""

import base64
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from deepfake_client.errors import InputError
from deepfake_client.evidence.document import (
    DIGITS,
    LIMITS,
    Bands,
    BandsOrigin,
    Evidence,
    FrameEvidence,
    InputFile,
    KeyFrame,
    Picture,
    Run,
    Software,
    Verdict,
)
from deepfake_client.evidence.sensitivity_picture import draw_map
from deepfake_client.pictures import Thumbnail, make_thumbnail, scored_picture, small_jpeg
from deepfake_client.plain_text import printable
from deepfake_client.presentation.key_frames import choose_key_frames, explain, find_peaks
from deepfake_client.release import ModelInfo, VerdictBands
from deepfake_client.result import DetectionOutput, ScoredFrame
from deepfake_client.scores import MediaScores, verdict

FRAME_SIDE_PX = 480
CROP_SIDE_PX = 224


def build_evidence(output: DetectionOutput, file_name: str, *, created_at: datetime | None = None) -> Evidence:
    """Builds the evidence report of a detection.

    Args:
        output: From `Detector.detect(..., keep_frames=True)`. Without kept frames the report has no pictures.
        file_name: What to call the input, a bare name: the report is passed on, and folders name people.
        created_at: Time of the report, with its time zone; now by default.
    """
    size, peaks = output.facts.frame_size_px, find_peaks(output.deciding_probabilities)
    details, model = output.details, output.model
    bands = model.verdict_bands.of(details.input_type)
    origin = BandsOrigin.CHECKPOINT if model.has_own_bands(details.input_type) else BandsOrigin.DEFAULT
    return Evidence(
        input=InputFile(
            file_name=printable(file_name),
            sha256=details.sha256,
            size_bytes=output.media_bytes,
            media_type=details.input_type,
            format=details.format,
            width_px=size[0] if size else None,
            height_px=size[1] if size else None,
            duration_s=_rounded(output.facts.duration_s, 6),
        ),
        verdict=Verdict(
            result=output.result,
            fake_probability=round(output.confidence_score, DIGITS),
            person=output.suspect.person if output.suspect else None,
            frames=output.suspect.frames if output.suspect else details.frames_analyzed,
            bands=Bands(real_below=bands.real_below, fake_above=bands.fake_above, origin=origin),
            assessable=details.assessable,
        ),
        findings=list(output.findings),
        provenance=details.provenance,
        scores=MediaScores(**output.scores.rounded()),
        key_frames=_key_frames(output),
        frames=[_frame(frame, bands, at in peaks) for at, frame in enumerate(output.frames)],
        further_frames=[_frame(frame, bands, is_peak=False) for frame in output.further_frames],
        segments=None if details.segments is None else list(details.segments),
        stability=details.stability,
        sensitivity=details.sensitivity,
        sensitivity_picture=_sensitivity_picture(output),
        model=model,
        software=Software(
            client_version=_installed("deepfake-client"),
            pyav_version=_installed("av"),
            pillow_version=_installed("pillow"),
        ),
        limits=list(LIMITS),
        run=Run(
            created_at=(created_at or datetime.now(timezone.utc)).astimezone(timezone.utc).replace(microsecond=0),
            processing_time_s=round(output.processing_time_seconds, 3),
        ),
    )


def evidence_json(evidence: Evidence) -> str:
    """The report as JSON, as `evidence.schema.json` beside this module describes it."""
    return evidence.model_dump_json(indent=2) + "\n"


def _frame(frame: ScoredFrame, bands: VerdictBands, is_peak: bool) -> FrameEvidence:
    score, p = frame.score, frame.score.fake_probability
    return FrameEvidence(
        index=frame.index,
        timestamp_s=round(frame.timestamp_s, 6),
        status=score.status,
        fake_probability=_rounded(p, DIGITS),
        result=None if p is None else verdict(p, bands),
        probabilities=None if score.probabilities is None else [round(v, DIGITS) for v in score.probabilities],
        face_box_px=_rounded_box(score.face_box_px),
        face_score=round(score.face_score, DIGITS),
        is_peak=is_peak,
    )


def _key_frames(output: DetectionOutput) -> list[KeyFrame]:
    if not any(frame.encoded for frame in output.frames):
        return []
    chosen = choose_key_frames(output)
    shown = []
    for at, reasons in chosen.items():
        frame = output.frames[at]
        whole, crop = _pictures(frame, output.model)
        shown.append(
            KeyFrame(index=frame.index, reasons=reasons, explanation=explain(reasons), picture=whole, crop=crop)
        )
    return shown


def _pictures(frame: ScoredFrame, model: ModelInfo) -> tuple[Picture | None, Picture | None]:
    """The whole frame and the model's crop of it; None for what cannot be drawn, which never costs the report."""
    box, limit, factor = frame.score.face_box_px, model.preprocess.max_pixels, model.preprocess.crop_factor
    if frame.encoded is None:
        return None, None
    try:
        whole = _picture(make_thumbnail(frame.encoded, box, max_side_px=FRAME_SIDE_PX, max_pixels=limit))
        if box is None:
            return whole, None
        crop = make_thumbnail(frame.encoded, box, factor, max_side_px=CROP_SIDE_PX, max_pixels=limit)
        return whole, _picture(crop)
    except InputError:
        return None, None


def _sensitivity_picture(output: DetectionOutput) -> Picture | None:
    found = output.details.sensitivity and output.details.sensitivity.map
    encoded = found and output.frames[found.index].encoded
    if not found or not encoded:
        return None
    try:
        drawn = draw_map(scored_picture(encoded, output.model.preprocess), found)
    except InputError:
        return None
    return _picture(Thumbnail(small_jpeg(drawn), *drawn.size, None))


def _picture(thumbnail: Thumbnail) -> Picture:
    return Picture(
        jpeg_base64=base64.b64encode(thumbnail.jpeg).decode("ascii"),
        width_px=thumbnail.width_px,
        height_px=thumbnail.height_px,
        face_box_px=_rounded_box(thumbnail.face_box_px),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _rounded_box(box: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
    if box is None:
        return None
    x0, y0, x1, y1 = (round(value, 1) for value in box)
    return x0, y0, x1, y1


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
