"""What the OpenAPI document says of each route in words: summaries, examples, and every way to fail."""

from dataclasses import dataclass
from typing import Any

from gateway.errors import (
    DeadlineError,
    GatewayError,
    MalformedRequestError,
    NoModelCardError,
    OutsideMediaRootError,
    OverloadedRequestError,
    RateLimitedError,
    TooLargeError,
    UnauthenticatedError,
    UnprocessableError,
    UnsupportedContentError,
)
from gateway.routes.api_examples import DETECT, HEALTH, SCORES

DESCRIPTION = """Tells how likely an image or a video is a deepfake.

- `POST /detect` judges one uploaded file.
- `POST /api/v1/inference` scores frames that lie in the service's media folder already.
- `GET /health` answers 200 only while real inferences succeed.
- `GET /model-card` says what the model is for, and where it fails.

Every answer carries an `X-Request-ID`: the caller's own, or one made for the request. Every error is JSON with a `code`
for programs, a `message` that says what is wrong and what to do, and the `request_id`.

A score is a model's estimate, not proof. Where `trained` is false the scores mean nothing at all."""

TAGS = [
    {"name": "Detection", "description": "From media to scores and verdicts."},
    {"name": "Operation", "description": "Whether the service works."},
]


@dataclass(frozen=True)
class Failure:
    """One status that a route may fail with.

    Attributes:
        error: Decides status and title.
        meaning: When that happens, and the codes that say which case it is.
        code: Code of the example.
        message: Message of the example.
    """

    error: type[GatewayError]
    meaning: str
    code: str
    message: str


_SERVICE_FAILURES = (
    Failure(
        GatewayError,
        "A fault of the gateway (`INTERNAL`, `CONFIGURATION`); its log has the request id.",
        "INTERNAL",
        "The gateway failed; its log has this request id.",
    ),
    Failure(
        OverloadedRequestError,
        "Shed for overload (`OVERLOADED`, with Retry-After), or the model cannot answer "
        "(`MODEL_UNAVAILABLE`, `MODEL_NOT_SERVED`, `MODEL_FAULT`, `SERVER_NOT_TRUSTED`).",
        "OVERLOADED",
        "Too many requests are being worked on. Send it again in 1 s.",
    ),
    Failure(
        DeadlineError,
        "No answer before the request's deadline (`DEADLINE`).",
        "DEADLINE",
        "There was no answer before the deadline. Send less, or try again.",
    ),
)


KEY_FAILURE = Failure(
    UnauthenticatedError,
    "No API key was sent (`API_KEY_REQUIRED`), or one that is not valid (`API_KEY_INVALID`).",
    "API_KEY_REQUIRED",
    "Send your API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
)

KEYS_UNAVAILABLE = " Or the keys cannot be read (`KEYS_UNAVAILABLE`)."
"""What is added to the meaning of 503 where keys are asked for."""

SECURITY_SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Your API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}

RATE_FAILURE = Failure(
    RateLimitedError,
    "This client has too many requests in flight, or sent too many within a minute (`RATE_LIMITED`, with Retry-After).",
    "RATE_LIMITED",
    "You have sent 600 requests within a minute. Send it again in 3 s.",
)


@dataclass(frozen=True)
class Route:
    """What the document says of a route besides its schemas."""

    path: str
    method: str
    operation_id: str
    summary: str
    tag: str
    description: str
    good: dict[int, str]
    examples: dict[int, dict[str, Any]]
    failures: tuple[Failure, ...] = ()


ROUTES = (
    Route(
        "/health",
        "get",
        "checkHealth",
        "Tell whether an inference can be served now",
        "Operation",
        "Rests on a real inference of the last seconds: a caller's, or one made for this request.",
        {200: "Inferences succeed.", 503: "They do not; `reason` says why."},
        {
            200: HEALTH,
            503: {
                **HEALTH,
                "status": "unhealthy",
                "model_status": "not_loaded",
                "reason": "MODEL_UNAVAILABLE",
            },
        },
        (_SERVICE_FAILURES[0],),
    ),
    Route(
        "/model-card",
        "get",
        "showModelCard",
        "Read the card of the model that answers now",
        "Operation",
        "The text that came with the model's checkpoint, in Markdown: what it is for, what it was trained on, where it "
        "fails. The `model_card` of results and of /health names its SHA-256.",
        {200: "The card."},
        {},
        (
            Failure(
                NoModelCardError,
                "The model came without a card, or its text is too long to be served (`NO_MODEL_CARD`).",
                "NO_MODEL_CARD",
                "The model has no card that is served here.",
            ),
            *_SERVICE_FAILURES,
        ),
    ),
    Route(
        "/api/v1/inference",
        "post",
        "scoreFrames",
        "Score an image, or a video from its extracted frames",
        "Detection",
        "Reads the listed files below the service's media root. Of a video at most 30 frames are scored, spread evenly "
        "over the list; of an image the first. A frame that cannot be decoded is skipped and never given a made-up "
        "score. Unknown keys are ignored.",
        {200: 'The scores; with `"include": ["frames"]` each frame\'s too.'},
        {200: {**SCORES, "model_version": "v2", "inference_time": 917}},
        (
            Failure(
                MalformedRequestError,
                "The body breaks the schema (`MALFORMED_REQUEST`), or is no JSON object (`INVALID_JSON`).",
                "MALFORMED_REQUEST",
                "mediaType: Field required.",
            ),
            Failure(
                OutsideMediaRootError,
                "A listed path lies outside the media root (`PATH_OUTSIDE_MEDIA_ROOT`); none was read.",
                "PATH_OUTSIDE_MEDIA_ROOT",
                "extractedFrames[0] lies outside the media root; no frame of this "
                "request was read. List files below the media root only.",
            ),
            Failure(
                TooLargeError,
                "Over a limit: `BODY_TOO_LARGE`, `TOO_MANY_FRAMES`, `FRAMES_TOO_LARGE`.",
                "TOO_MANY_FRAMES",
                "extractedFrames lists 10001 paths; at most 10000 are taken.",
            ),
            Failure(
                UnsupportedContentError,
                "Not JSON (`WRONG_CONTENT_TYPE`), or `AUDIO` (`UNSUPPORTED_MEDIA`).",
                "UNSUPPORTED_MEDIA",
                "The model analyses images. Send mediaType VIDEO or IMAGE with extractedFrames.",
            ),
            Failure(
                UnprocessableError,
                "No path is listed (`NO_FRAMES`), or no frame could be scored (`NOTHING_SCORED`; `frames` "
                "has each one's reason).",
                "NOTHING_SCORED",
                "None of the frames could be scored; `frames` says why.",
            ),
            *_SERVICE_FAILURES,
        ),
    ),
    Route(
        "/detect",
        "post",
        "detect",
        "Judge one uploaded image or video",
        "Detection",
        "What the file is is read from its content, never from its name. Of a video up to 30 frames are scored, spread "
        "evenly over it. Nothing is kept after the answer.",
        {200: "The verdict."},
        {200: DETECT},
        (
            Failure(
                MalformedRequestError,
                "The form is malformed (`MALFORMED_REQUEST`), has no file (`NO_FILE`) or an empty one "
                "(`EMPTY_FILE`), or `type` contradicts the content (`INVALID_INPUT`).",
                "NO_FILE",
                "file: the form has no such file; send the image or video in it.",
            ),
            Failure(
                TooLargeError,
                "Over a limit: `BODY_TOO_LARGE`, `IMAGE_TOO_LARGE`, `MEDIA_TOO_LARGE`.",
                "IMAGE_TOO_LARGE",
                "file: the image holds 70000000 bytes; at most 67108864 are taken.",
            ),
            Failure(
                UnsupportedContentError,
                "No form (`WRONG_CONTENT_TYPE`), or neither an image nor a video that is taken (`UNSUPPORTED_MEDIA`).",
                "UNSUPPORTED_MEDIA",
                "file: neither an image (JPEG, PNG, BMP, WebP) nor a video (MP4, MOV, AVI, MKV, WebM)",
            ),
            Failure(
                UnprocessableError,
                "No frame of the video can be decoded (`MEDIA_DECODE_FAILED`), not in time (`DECODE_TIMEOUT`), or none "
                "scored (`NOTHING_SCORED`; `frames` has each one's reason).",
                "MEDIA_DECODE_FAILED",
                "file: no frame of the video could be decoded",
            ),
            *_SERVICE_FAILURES,
        ),
    ),
)
