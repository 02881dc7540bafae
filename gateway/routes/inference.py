"""POST /api/v1/inference: scores of extracted frames that lie below the media root."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any

from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint

from deepfake_client import (
    Deadline,
    Detector,
    FaceChoice,
    FrameScore,
    InputError,
    MediaType,
    ModelInfo,
    NothingScoredError,
)
from deepfake_client.analysis.media_facts import MediaFacts, facts_of_picture
from deepfake_client.analysis.scenes import sketch_of_file
from deepfake_client.result import Aggregate, aggregate, face_predictions
from deepfake_client.scorer import OK, Scoring
from gateway.errors import ApiError
from gateway.media.frame_reading import ListedFrame, read_listed_frames
from gateway.media.media_root import MediaRoot
from gateway.observe.telemetry import Telemetry
from gateway.request_context import current_request_id, elapsed_s, request_deadline
from gateway.routes.admission import guard
from gateway.routes.document import DETECTION, SERVICE_CODES, failures, keyed
from gateway.routes.schemas import MODELS_OF_FRAMES, FrameResult, InferenceRequest, InferenceResponse
from gateway.settings import GatewaySettings

_CODES = (
    "MALFORMED_REQUEST", "INVALID_JSON", "PATH_OUTSIDE_MEDIA_ROOT", "BODY_TOO_LARGE", "TOO_MANY_FRAMES",
    "FRAMES_TOO_LARGE", "WRONG_CONTENT_TYPE", "UNSUPPORTED_MEDIA", "NO_FRAMES", "NOTHING_SCORED", *SERVICE_CODES,
)  # fmt: skip


def inference_route(
    settings: GatewaySettings, detector: Detector, slots: BoundedSemaphore, telemetry: Telemetry
) -> APIBlueprint:
    """The route, over the application's detector and its slots for detections."""
    security, key_codes = keyed(settings.api_keys_file is not None)
    root = MediaRoot(settings.media_root)
    inference = APIBlueprint("inference", __name__, abp_tags=[DETECTION])
    guard(inference, settings, slots)

    @inference.before_request
    def expect_json() -> None:
        if request.method == "POST" and request.mimetype != "application/json":
            raise ApiError("WRONG_CONTENT_TYPE", "Send the body as Content-Type: application/json.")
        request.max_content_length = settings.max_json_bytes

    @inference.post(
        "/api/v1/inference",
        operation_id="scoreFrames",
        responses={200: InferenceResponse, **failures(*_CODES, *key_codes)},
        security=security,
    )
    def infer(body: InferenceRequest) -> Response:
        """Score an image, or a video from its extracted frames.

        Reads the listed files below the service's media root. Of a video at most 30 frames are scored, spread evenly
        over the list; of an image the first. A frame that cannot be decoded is skipped and never given a made-up score.
        """
        if body.media_type == "AUDIO":
            raise ApiError(
                "UNSUPPORTED_MEDIA", "The model analyses images. Send mediaType VIDEO or IMAGE with extractedFrames."
            )
        if not body.extracted_frames:
            raise ApiError("NO_FRAMES", "extractedFrames lists no path; there is nothing to score.")
        media_type = MediaType(body.media_type.lower())
        with telemetry.step("read frames"):
            frames = read_listed_frames(body.extracted_frames, media_type, root, settings, request_deadline())
        include = body.include or []
        rules = detector.settings.face_rules
        about_people = bool({"faces", "findings"} & set(include))
        every_face = about_people or rules.choice is FaceChoice.MOST_SUSPICIOUS
        scores, info = _score(frames, detector.score_frames if every_face else detector.scorer.score, telemetry)
        try:
            if info is None:
                raise NothingScoredError("no frame could be read")
            facts = _facts(frames, scores, media_type, info) if about_people else MediaFacts()
            whole = aggregate(scores, media_type, info, "extractedFrames", facts, rules)
        except NothingScoredError:
            reasons = _failures(frames, scores, info)
            raise ApiError(
                "NOTHING_SCORED",
                f"None of the frames could be scored; `frames` says why. The first one: {reasons[0]['message']}",
                details={"frames": reasons},
            ) from None
        answer: dict[str, Any] = {
            **whole.scores.rounded(),
            "model_version": body.model_version,
            "inference_time": round(elapsed_s() * 1000),
            **_asked_for(include, frames, scores, whole),
        }
        unasked = None if "models" in include else {"frames": MODELS_OF_FRAMES}
        return jsonify(InferenceResponse(**answer).model_dump(mode="json", exclude_unset=True, exclude=unasked))

    return inference


def _asked_for(
    include: Collection[str], frames: Sequence[ListedFrame], scores: Sequence[FrameScore], whole: Aggregate
) -> dict[str, Any]:
    """What `include` adds to the answer."""
    added: dict[str, Any] = {}
    if {"frames", "faces"} & set(include):
        added |= {
            "frames": [_frame_result(frame, score) for frame, score in zip(frames, scores, strict=True)],
            "frames_scored": whole.frames_scored,
            "frames_failed": whole.frames_failed,
            "faces_detected": whole.people.frames_with_face,
        }
    if "faces" in include:
        added["people"] = whole.people.persons
        for result, score, numbers in zip(added["frames"], scores, whole.people.numbers, strict=True):
            result.faces = face_predictions(score, numbers)
    if "findings" in include:
        added |= {"assessable": whole.assessable, "findings": whole.findings}
    if "models" in include:
        added["models"] = whole.models_of_scores
    return added


def _score(
    frames: Sequence[ListedFrame], score: Callable[[Sequence[bytes], Deadline, str], Scoring], telemetry: Telemetry
) -> tuple[list[FrameScore], ModelInfo | None]:
    """One score per frame, and which release gave them; those that could not be read keep their own status."""
    unread = [FrameScore(status=frame.status) for frame in frames if frame.encoded is None]
    telemetry.metrics.frames(unread)  # the others are counted when they are scored
    readable = [frame.encoded for frame in frames if frame.encoded is not None]
    if not readable:
        return unread, None
    scoring = score(readable, request_deadline(), current_request_id())
    scored = iter(scoring.scores)
    scores = [FrameScore(status=frame.status) if frame.encoded is None else next(scored) for frame in frames]
    return scores, scoring.info


def _facts(
    frames: Sequence[ListedFrame], scores: Sequence[FrameScore], media_type: MediaType, info: ModelInfo
) -> MediaFacts:
    """Of listed frames, which have no times."""
    scored = (frame.encoded for frame, score in zip(frames, scores, strict=True) if score.status == OK)
    facts = facts_of_picture(next(scored, None), media_type, info.preprocess.max_pixels)
    if media_type is MediaType.IMAGE:
        return facts
    return replace(facts, sketches=tuple(_sketch(frame, score) for frame, score in zip(frames, scores, strict=True)))


def _sketch(frame: ListedFrame, score: FrameScore) -> bytes:
    """Of a frame with a face; empty for others, and where it is so large that it would take long."""
    request_deadline().remaining_s()
    if frame.encoded is None or not score.faces:
        return b""
    try:
        return sketch_of_file(frame.encoded)
    except InputError:
        return b""


def _frame_result(frame: ListedFrame, score: FrameScore) -> FrameResult:
    return FrameResult(
        index=frame.index,
        path=frame.path,
        status=score.status,
        fake_probability=score.fake_probability,
        face_box=score.face_box_px,
        face_score=score.face_score,
        models=score.members,
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
