"""POST /api/v1/inference: scores of extracted frames that lie below the media root."""

from collections.abc import Sequence
from typing import Any

from deepfake_client import FrameScore, MediaType, ModelInfo
from deepfake_client.scorer import OK
from deepfake_client.scores import media_scores
from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint

from gateway.errors import UnprocessableError, UnsupportedContentError
from gateway.limits import guard
from gateway.media.frame_reading import ListedFrame, read_listed_frames
from gateway.request_context import current_request_id, elapsed_ms, request_deadline, services
from gateway.routes.schemas import (
    DetailedInferenceResponse,
    FrameResult,
    InferenceRequest,
    InferenceResponse,
    MediaKind,
)

inference = APIBlueprint("inference", __name__)
guard(inference, "application/json", lambda settings: settings.max_json_bytes, lambda: request.get_data())


@inference.post("/api/v1/inference", responses={200: InferenceResponse})
def infer(body: InferenceRequest) -> Response:
    """Score an image, or a video from its extracted frames."""
    if body.media_type is MediaKind.AUDIO:
        raise UnsupportedContentError(
            "The model analyses images. Send mediaType VIDEO or IMAGE with extractedFrames.", "UNSUPPORTED_MEDIA"
        )
    if not body.extracted_frames:
        raise UnprocessableError("extractedFrames lists no path; there is nothing to score.", "NO_FRAMES")
    is_video = body.media_type is MediaKind.VIDEO
    shared = services()
    with shared.telemetry.step("read frames"):
        frames = read_listed_frames(
            body.extracted_frames, is_video, shared.media_root, shared.settings, request_deadline()
        )
    scores, info = _score(frames)
    p = [score.fake_probability for score in scores if score.fake_probability is not None]
    if not p:
        raise UnprocessableError(
            "None of the frames could be scored; `frames` says why.",
            "NOTHING_SCORED",
            details={"frames": _failures(frames, scores, info)},
        )
    answer = InferenceResponse(
        **media_scores(p, MediaType.VIDEO if is_video else MediaType.IMAGE).rounded(),
        model_version=body.model_version,
        inference_time=elapsed_ms(),
    )
    if body.include:
        answer = DetailedInferenceResponse(
            **answer.model_dump(),
            frames=[_frame_result(frame, score) for frame, score in zip(frames, scores, strict=True)],
            frames_scored=len(p),
            frames_failed=len(frames) - len(p),
            faces_detected=sum(score.face_box_px is not None for score in scores),
        )
    return jsonify(answer.model_dump())


def _score(frames: Sequence[ListedFrame]) -> tuple[list[FrameScore], ModelInfo | None]:
    """One score per frame, and which release gave them; those that could not be read keep their own status."""
    unread = [FrameScore(status=frame.status) for frame in frames if frame.encoded is None]
    services().telemetry.frames(unread)  # the others are counted when they are scored
    readable = [frame.encoded for frame in frames if frame.encoded is not None]
    if not readable:
        return unread, None
    scoring = services().detector.scorer.score(readable, request_deadline(), current_request_id())
    scored = iter(scoring.scores)
    scores = [FrameScore(status=frame.status) if frame.encoded is None else next(scored) for frame in frames]
    return scores, scoring.info


def _frame_result(frame: ListedFrame, score: FrameScore) -> FrameResult:
    return FrameResult(
        index=frame.index,
        path=frame.path,
        status=score.status,
        fake_probability=score.fake_probability,
        face_box=score.face_box_px,
        face_score=score.face_score,
    )


def _failures(
    frames: Sequence[ListedFrame], scores: Sequence[FrameScore], info: ModelInfo | None
) -> list[dict[str, Any]]:
    return [
        {
            "index": frame.index,
            "path": frame.path,
            "status": score.status,
            "message": frame.message or (info.status_meaning(score.status) if info else ""),
        }
        for frame, score in zip(frames, scores, strict=True)
        if score.status != OK
    ]
