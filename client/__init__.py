"""Deepfake detection for images and videos, on a Triton server or in this process.

>>> from client import MediaType, create_detector
>>> detector = create_detector("localhost:8001")
>>> detector.detect("clip.mp4", MediaType.VIDEO).result
"""

from client.asynchronous import AsyncDetector, create_async_detector
from client.connect import create_detector
from client.detector import DetectionOutput, Detector, ScoredFrame
from client.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DetectionError,
    DetectorClosedError,
    InputError,
    MediaDecodeError,
    MediaDecodeTimeoutError,
    MediaNotFoundError,
    MediaTooLargeError,
    ModelFaultError,
    ModelNotServedError,
    NothingScoredError,
    OverloadedError,
    ServerNotTrustedError,
    ServerUnavailableError,
    ServiceError,
    UnsupportedMediaError,
)
from client.evidence import Evidence
from client.evidence_builder import build_evidence, evidence_json
from client.evidence_html import evidence_html
from client.media import MediaType
from client.model_info import ModelInfo, VerdictBands
from client.scorer import Deadline, FrameScore
from client.scores import DetectionResult, MediaScores
from client.settings import ClientSettings

__all__ = [
    "AsyncDetector",
    "ClientSettings",
    "ConfigurationError",
    "Deadline",
    "DeadlineExceededError",
    "DetectionError",
    "DetectionOutput",
    "DetectionResult",
    "Detector",
    "DetectorClosedError",
    "Evidence",
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
    "ScoredFrame",
    "ServerNotTrustedError",
    "ServerUnavailableError",
    "ServiceError",
    "UnsupportedMediaError",
    "VerdictBands",
    "build_evidence",
    "create_async_detector",
    "create_detector",
    "evidence_html",
    "evidence_json",
]
