"""Builds the evidence report of a detection."""

import base64
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from deepfake_client.errors import InputError
from deepfake_client.evidence.document import (
    LIMITS,
    Bands,
    BandsOrigin,
    Case,
    Crop,
    Evidence,
    FrameEvidence,
    InputFile,
    KeyFrame,
    PersonEvidence,
    Picture,
    Run,
    Scores,
    Software,
    Verdict,
)
from deepfake_client.evidence.sensitivity_picture import draw_map
from deepfake_client.media import MediaType
from deepfake_client.pictures import Thumbnail, make_thumbnail, scored_picture, small_jpeg
from deepfake_client.plain_text import printable
from deepfake_client.presentation.crop_pictures import crop_pictures
from deepfake_client.presentation.key_frames import choose_key_frames, explain, find_peaks
from deepfake_client.presentation.likelihood import likelihood_of
from deepfake_client.release import VerdictBands
from deepfake_client.result import DetectionOutput, FramePrediction, ScoredFrame
from deepfake_client.scores import MediaScores, verdict

FRAME_SIDE_PX = 480


def build_evidence(
    output: DetectionOutput, file_name: str, *, case: Case | None = None, created_at: datetime | None = None
) -> Evidence:
    """Builds the evidence report of a detection.

    Args:
        output: From `Detector.detect(..., keep_frames=True)`. Without kept frames the report has no pictures.
        file_name: What to call the input, a bare name: the report is passed on, and folders name people.
        case: What the report belongs to; an empty one is none.
        created_at: Time of the report, with its time zone; now by default.
    """
    size, peaks = output.facts.frame_size_px, find_peaks(output.deciding_probabilities)
    details, model = output.details, output.model
    bands = model.verdict_bands.of(details.input_type)
    origin = BandsOrigin.CHECKPOINT if model.has_own_bands(details.input_type) else BandsOrigin.DEFAULT
    further = zip(output.further_frames, details.further_frame_predictions, strict=True)
    return Evidence(
        case=None if case == Case() else case,
        input=InputFile(
            file_name=printable(file_name),
            sha256=details.sha256,
            size_bytes=output.media_bytes,
            media_type=details.input_type,
            format=details.format,
            width_px=size[0] if size else None,
            height_px=size[1] if size else None,
            duration_s=None if output.facts.duration_s is None else round(output.facts.duration_s, 6),
        ),
        verdict=Verdict(
            result=output.result,
            fake_probability=output.confidence_score,
            person=details.deciding_person,
            frames=output.suspect.frames if output.suspect else details.frames_analyzed,
            bands=Bands(real_below=bands.real_below, fake_above=bands.fake_above, origin=origin),
            assessable=details.assessable,
            statement=details.statement,
            likelihood_ratio=likelihood_of(model, details.input_type, output.confidence_score)
            if details.assessable
            else None,
        ),
        findings=list(output.findings),
        provenance=details.provenance,
        scores=_scores(output.scores, details.input_type),
        people=_people(output),
        models=list(details.models),
        key_frames=_key_frames(output),
        frames=[
            _frame(frame, predicted, bands, at in peaks)
            for at, (frame, predicted) in enumerate(zip(output.frames, details.frame_predictions, strict=True))
        ],
        further_frames=[_frame(frame, predicted, bands, is_peak=False) for frame, predicted in further],
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


def _scores(scores: MediaScores, media_type: MediaType) -> Scores:
    if media_type is MediaType.IMAGE:
        return Scores(confidence=scores.confidence)
    return Scores(**scores.model_dump(include=set(Scores.model_fields)))


def _frame(frame: ScoredFrame, predicted: FramePrediction, bands: VerdictBands, is_peak: bool) -> FrameEvidence:
    p = predicted.fake_probability
    return FrameEvidence(
        **dict(predicted),
        result=None if p is None else verdict(p, bands),
        probabilities=frame.score.probabilities,
        is_peak=is_peak,
    )


def _people(output: DetectionOutput) -> list[PersonEvidence]:
    crops = {
        made.person: Crop(index=made.index, fake_probability=made.fake_probability, picture=_picture(made.picture))
        for made in crop_pictures(output)
    }
    return [PersonEvidence(**dict(person), crop=crops.get(person.person)) for person in output.details.people]


def _key_frames(output: DetectionOutput) -> list[KeyFrame]:
    if not any(frame.encoded for frame in output.frames):
        return []
    limit = output.model.preprocess.max_pixels
    return [
        KeyFrame(
            index=output.frames[at].index,
            reasons=reasons,
            explanation=explain(reasons),
            picture=_whole(output.frames[at].encoded, limit),
        )
        for at, reasons in choose_key_frames(output).items()
    ]


def _whole(encoded: bytes | None, max_pixels: int) -> Picture | None:
    """A frame made smaller; None for what cannot be drawn, which never costs the report."""
    if encoded is None:
        return None
    try:
        return _picture(make_thumbnail(encoded, max_side_px=FRAME_SIDE_PX, max_pixels=max_pixels))
    except InputError:
        return None


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
    )


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
