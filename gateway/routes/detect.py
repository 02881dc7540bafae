"""POST /detect: the verdict on one uploaded image or video."""

import contextlib
import os
from threading import BoundedSemaphore
from typing import Any, BinaryIO

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint

from deepfake_client import DetectionOutput, Detector, MediaType
from deepfake_client.analysis.closer_look import LOOKS
from deepfake_client.evidence.document import Case
from deepfake_client.media import Media, identify
from gateway.errors import ApiError
from gateway.media.thumbnails import crops, thumbnails
from gateway.observe.telemetry import Telemetry
from gateway.request_context import current_request_id, request_deadline
from gateway.routes.accept import prefers_html
from gateway.routes.admission import VideoTurns, guard
from gateway.routes.document import DETECTION, SERVICE_CODES, UPLOAD, failures, keyed
from gateway.routes.report import LOOKS_OF_REPORT, report_response
from gateway.routes.schemas import MODELS_OF_FRAMES, DetectMetadata, DetectOptions, DetectResponse
from gateway.routes.uploads import read_upload
from gateway.settings import GatewaySettings

_CODES = (
    "MALFORMED_REQUEST", "INVALID_JSON", "NO_FILE", "EMPTY_FILE", "INVALID_INPUT", "BODY_TOO_LARGE", "IMAGE_TOO_LARGE",
    "MEDIA_TOO_LARGE", "WRONG_CONTENT_TYPE", "UNSUPPORTED_MEDIA", "NOTHING_SCORED", "MEDIA_DECODE_FAILED",
    "DECODE_TIMEOUT", *SERVICE_CODES,
)  # fmt: skip

_PICTURES = {"thumbnails", "all_thumbnails", "crops"}
"""What `include` may ask for that is made from the frames."""

_MODELS: dict[str, Any] = {
    "metadata": {
        "models": True,
        "frame_predictions": MODELS_OF_FRAMES,
        "further_frame_predictions": MODELS_OF_FRAMES,
    }
}
"""Left out of the answer, unless `include` asks for `models`."""


def detect_route(
    settings: GatewaySettings, detector: Detector, slots: BoundedSemaphore, videos: VideoTurns, telemetry: Telemetry
) -> APIBlueprint:
    """The route, over the application's detector, its slots for detections and its turns for videos."""
    security, key_codes = keyed(settings.api_keys_file is not None)
    detect = APIBlueprint("detect", __name__, abp_tags=[DETECTION])
    guard(detect, settings, slots)

    @detect.post(
        "/detect",
        operation_id="detect",
        responses={200: DetectResponse, **failures(*_CODES, *key_codes)},
        security=security,
        openapi_extensions=UPLOAD,
    )
    def detect_upload() -> Response:
        """Judge one uploaded image or video.

        The file's content says what it is, never its name. Of a video up to 30 frames are scored, one from
        each of as many equal parts of it. Nothing is kept after the answer.

        Where the Accept header prefers HTML the answer is the evidence report of the same detection: one file to read,
        print and pass on, with pictures of the frames. `stability` and `further_frames` are then always examined.
        """
        as_report = prefers_html("application/json")
        with read_upload(settings) as upload:
            media, options = _identify(upload.file, settings), upload.options
            include = {*options.include, *LOOKS_OF_REPORT} if as_report else {*options.include}
            is_image = media.format.media_type is MediaType.IMAGE
            with contextlib.nullcontext() if is_image else videos.turn(request_deadline()):
                output = detector.detect(
                    media,
                    MediaType(options.type) if options.type else None,
                    timeout_s=request_deadline(),
                    request_id=current_request_id(),
                    keep_frames=as_report or bool(_PICTURES & include),
                    include=[look for look in LOOKS if look in include],
                )
                # Within the turn, which bounds how many videos' frames are held.
                response = (
                    report_response(output, upload.file_name, Case(number=options.case_number, note=options.note))
                    if as_report
                    else _json_response(output, options)
                )
        telemetry.metrics.verdicts.labels(output.details.input_type.value, output.result.value).inc()
        return response

    @detect.after_request
    def vary(response: Response) -> Response:
        response.vary.add("Accept")
        return response

    return detect


def _identify(upload: BinaryIO, settings: GatewaySettings) -> Media:
    """What the file is; refuses an empty one, one of a format that is not accepted, and too large an image."""
    max_image_bytes = settings.max_frame_bytes
    size = upload.seek(0, os.SEEK_END)
    if size == 0:
        raise ApiError("EMPTY_FILE", "file: the uploaded file is empty.")
    media = identify(upload, "file", settings.accepted_formats.split(","))
    if media.format.media_type is MediaType.IMAGE and size > max_image_bytes:
        raise ApiError("IMAGE_TOO_LARGE", f"file: the image holds {size} bytes; at most {max_image_bytes} are taken.")
    return media


def _json_response(output: DetectionOutput, options: DetectOptions) -> Response:
    answer = DetectResponse(
        result=output.result.value,
        confidence_score=output.confidence_score,
        processing_time_seconds=output.processing_time_seconds,
        metadata=DetectMetadata(**dict(output.details), **_asked_for(options, output)),
        model_version=output.model_version,
    )
    return jsonify(answer.model_dump(mode="json", exclude=None if "models" in options.include else _MODELS))


def _asked_for(options: DetectOptions, output: DetectionOutput) -> dict[str, Any]:
    """What `include` adds to the metadata."""
    added: dict[str, Any] = {}
    if "scores" in options.include:
        bands = output.model.verdict_bands.of(output.details.input_type)
        added |= {"scores": output.scores, "verdict_bands": bands}
    every_frame = "all_thumbnails" in options.include
    if every_frame or "thumbnails" in options.include:
        added["thumbnails"] = thumbnails(output, request_deadline(), every_frame)
    if "crops" in options.include:
        added["crops"] = list(crops(output, request_deadline()))
    return added
