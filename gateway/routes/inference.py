"""POST /api/v1/inference: scores of extracted frames that lie below the media root."""

from collections.abc import Sequence
from typing import Any

from deepfake_client import FrameScore, MediaType, ModelInfo, NothingScoredError
from deepfake_client.result import aggregate
from deepfake_client.scorer import OK
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
    media_type = MediaType.VIDEO if body.media_type is MediaKind.VIDEO else MediaType.IMAGE
    shared = services()
    with shared.telemetry.step("read frames"):
        frames = read_listed_frames(
            body.extracted_frames,
            media_type is MediaType.VIDEO,
            shared.media_root,
            shared.settings,
            request_deadline(),
        )
    scores, info = _score(frames)
    try:
        if info is None:
            raise NothingScoredError("no frame could be read")
        whole = aggregate(scores, media_type, info, "extractedFrames")
    except NothingScoredError:
        raise UnprocessableError(
            "None of the frames could be scored; `frames` says why.",
            "NOTHING_SCORED",
            details={"frames": _failures(frames, scores, info)},
        ) from None
    answer = InferenceResponse(**whole.scores.rounded(), model_version=body.model_version, inference_time=elapsed_ms())
    if body.include:
        answer = DetailedInferenceResponse(
            **answer.model_dump(),
            frames=[_frame_result(frame, score) for frame, score in zip(frames, scores, strict=True)],
            frames_scored=whole.frames_scored,
            frames_failed=whole.frames_failed,
            faces_detected=whole.faces_detected,
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
