"""POST /detect: the verdict on one uploaded image or video."""

import contextlib
import os
from typing import Any, BinaryIO, cast

from deepfake_client import DetectionOutput, MediaType
from deepfake_client.media import identify
from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint

from gateway.errors import MalformedRequestError, TooLargeError
from gateway.limits import guard
from gateway.media.thumbnails import thumbnails
from gateway.request_context import current_request_id, request_deadline, services
from gateway.routes.detect_schemas import DetectForm, DetectMetadata, DetectResponse

detect = APIBlueprint("detect", __name__)
guard(detect, "multipart/form-data", lambda settings: settings.max_body_bytes, lambda: request.files)


@detect.before_request
def check_form() -> None:
    """Refuses what the form's schema does not tell apart, before the library parses the form's values."""
    if request.method != "POST":
        return
    # The library reads each value as JSON first, at a cost that its length decides.
    if len(request.form.get("type", "")) > len("image"):
        raise MalformedRequestError("type: must be image or video, or be left out.", "MALFORMED_REQUEST")
    if any(len(value) > len("thumbnails") for value in request.form.getlist("include")):
        raise MalformedRequestError("include: must be thumbnails or scores, or be left out.", "MALFORMED_REQUEST")
    if "file" not in request.files:
        raise MalformedRequestError("file: the form has no such file; send the image or video in it.", "NO_FILE")


@detect.post("/detect", responses={200: DetectResponse})
def detect_upload(form: DetectForm) -> Response:
    """Judge one uploaded image or video."""
    # The wrapper, not its stream: its name in messages is that of the form's field.
    upload = cast(BinaryIO, form.file)
    size = upload.seek(0, os.SEEK_END)
    if size == 0:
        raise MalformedRequestError("file: the uploaded file is empty.", "EMPTY_FILE")
    shared = services()
    limit = shared.settings.max_frame_bytes
    media = identify(upload, "file")
    is_image = media.format.media_type is MediaType.IMAGE
    if is_image and size > limit:
        raise TooLargeError(f"file: the image holds {size} bytes; at most {limit} are taken.", "IMAGE_TOO_LARGE")
    with contextlib.nullcontext() if is_image else shared.videos.turn(request_deadline()):
        output = shared.detector.detect(
            media,
            MediaType(form.type) if form.type else None,
            timeout_s=request_deadline(),
            request_id=current_request_id(),
            keep_frames="thumbnails" in form.include,
        )
        asked_for = _asked_for(form, output)  # within the turn, which bounds how many videos' frames are held
    shared.telemetry.verdict(output.details.input_type.value, output.result.value)
    answer = DetectResponse(
        result=output.result.value,
        confidence_score=output.confidence_score,
        processing_time_seconds=output.processing_time_seconds,
        metadata=DetectMetadata(**dict(output.details), **asked_for),
        model_version=output.model_version,
    )
    return jsonify(answer.model_dump(mode="json"))


def _asked_for(form: DetectForm, output: DetectionOutput) -> dict[str, Any]:
    """What `include` adds to the metadata."""
    added: dict[str, Any] = {}
    if "scores" in form.include:
        bands = output.model.verdict_bands.of(output.details.input_type)
        added |= {"scores": output.scores.rounded(), "verdict_bands": bands}
    if "thumbnails" in form.include:
        added["thumbnails"] = thumbnails(output.frames, request_deadline())
    return added
