import inspect

import deepfake_client
from deepfake_client.errors import DetectionError

PUBLIC = {
    "AsyncDetector",
    "Case",
    "ClientSettings",
    "ConfigurationError",
    "Deadline",
    "DeadlineExceededError",
    "DetectionError",
    "DetectionOutput",
    "DetectionResult",
    "Detector",
    "DetectorClosedError",
    "EmptyFileError",
    "Evidence",
    "Face",
    "FaceChoice",
    "Finding",
    "FindingCode",
    "FrameScore",
    "InputError",
    "MediaDecodeError",
    "MediaDecodeTimeoutError",
    "MediaNotFoundError",
    "MediaScores",
    "MediaTooLargeError",
    "MediaType",
    "ModelFaultError",
    "ModelInfo",
    "ModelNotServedError",
    "NothingScoredError",
    "OverloadedError",
    "PreprocessUnavailableError",
    "ReleasesDifferError",
    "ScoredFrame",
    "ServerNotTrustedError",
    "ServerUnavailableError",
    "ServiceError",
    "Severity",
    "UnsupportedMediaError",
    "VerdictBands",
    "build_evidence",
    "create_async_detector",
    "create_detector",
    "evidence_html",
    "evidence_json",
}

# Codes that scripts read from the command line's output: adding one is fine, changing one is not.
CODES = {
    "ConfigurationError": ("CONFIGURATION", False),
    "DeadlineExceededError": ("DEADLINE", False),
    "DetectionError": ("DETECTION_FAILED", False),
    "DetectorClosedError": ("CLOSED", False),
    "InputError": ("INVALID_INPUT", False),
    "MediaDecodeError": ("MEDIA_DECODE_FAILED", False),
    "MediaDecodeTimeoutError": ("DECODE_TIMEOUT", False),
    "MediaNotFoundError": ("MEDIA_NOT_FOUND", False),
    "MediaTooLargeError": ("MEDIA_TOO_LARGE", False),
    "ModelFaultError": ("MODEL_FAULT", False),
    "ModelNotServedError": ("MODEL_NOT_SERVED", False),
    "NothingScoredError": ("NOTHING_SCORED", False),
    "OverloadedError": ("OVERLOADED", True),
    "ServerNotTrustedError": ("SERVER_NOT_TRUSTED", False),
    "PreprocessUnavailableError": ("PREPROCESS_UNAVAILABLE", True),
    "ReleasesDifferError": ("RELEASES_DIFFER", True),
    "ServerUnavailableError": ("MODEL_UNAVAILABLE", True),
    "ServiceError": ("SERVICE_FAILED", False),
    "EmptyFileError": ("EMPTY_FILE", False),
    "UnsupportedMediaError": ("UNSUPPORTED_MEDIA", False),
}


def test_all_is_exactly_the_public_surface() -> None:
    assert set(deepfake_client.__all__) == PUBLIC
    assert deepfake_client.__all__ == sorted(deepfake_client.__all__)
    assert all(hasattr(deepfake_client, name) for name in PUBLIC)


def test_everything_public_has_a_docstring() -> None:
    assert [name for name in PUBLIC if not inspect.getdoc(getattr(deepfake_client, name))] == []


def test_error_codes_are_pinned_and_every_error_is_exported() -> None:
    errors = {name: value for name, value in vars(deepfake_client).items() if inspect.isclass(value)}
    errors = {name: value for name, value in errors.items() if issubclass(value, DetectionError)}
    assert {name: (error.code, error.retryable) for name, error in errors.items()} == CODES
