"""Deepfake detection for images and videos, on a Triton server or in this process.

>>> from deepfake_client import create_detector
>>> with create_detector("localhost:8001") as detector:  # Triton's gRPC port, or the directory of a release
...     output = detector.detect("clip.mp4")
>>> output.result
<DetectionResult.FAKE: 'fake'>
>>> output.confidence_score  # fake probability 0-1, of the most suspicious person
0.91
>>> output.metadata["frames_analyzed"]
30
>>> [finding.code.value for finding in output.findings]  # what makes the result unreliable
['SMALL_FACE']

Every exception is a `DetectionError`; its `code` and `retryable` are for programs.
"""

from deepfake_client.analysis.faces import FaceChoice
from deepfake_client.analysis.finding import Finding, FindingCode, Severity
from deepfake_client.asynchronous import AsyncDetector, create_async_detector
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DetectionError,
    DetectorClosedError,
    EmptyFileError,
    InputError,
    MediaDecodeError,
    MediaDecodeTimeoutError,
    MediaNotFoundError,
    MediaTooLargeError,
    ModelFaultError,
    ModelNotServedError,
    NothingScoredError,
    OverloadedError,
    PreprocessUnavailableError,
    ReleasesDifferError,
    ServerNotTrustedError,
    ServerUnavailableError,
    ServiceError,
    UnsupportedMediaError,
)
from deepfake_client.evidence.builder import build_evidence, evidence_json
from deepfake_client.evidence.document import Case, Evidence
from deepfake_client.evidence.html import evidence_html
from deepfake_client.media import MediaType
from deepfake_client.release import ModelInfo, VerdictBands
from deepfake_client.result import DetectionOutput, ScoredFrame
from deepfake_client.scorer import Deadline, Face, FrameScore
from deepfake_client.scores import DetectionResult, MediaScores
from deepfake_client.settings import ClientSettings

__all__ = [
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
]
