"""The gateway's Prometheus metrics. docs/operations.md has the table."""

import functools
from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from deepfake_client import DetectionResult, MediaType
from deepfake_client.scorer import ANSWERED, CANCELLED, OK, FrameScore

_NAMESPACE = "deepfake_gateway"
PREFIX = f"{_NAMESPACE}_"

_DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
_PROBABILITIES = tuple(tenth / 10 for tenth in range(1, 11))
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_TRITON_CODES = (
    ANSWERED, CANCELLED, "DEADLINE", "MODEL_FAULT", "MODEL_NOT_SERVED", "MODEL_UNAVAILABLE", "OVERLOADED",
    "PREPROCESS_UNAVAILABLE", "RELEASES_DIFFER",
)  # fmt: skip
"""How a gRPC request ends: `deepfake_client.scorer`."""


class GatewayMetrics:
    """What the requests of this process add up to. Thread-safe.

    Series that alerts count the growth of exist from the start, at 0: growth from nothing would not be seen.

    Attributes:
        registry: Holds all of them.
        in_progress: Requests that are worked on, by route.
        verdicts: By media type and verdict.
        cache: Frames that were looked up in the score cache, by `hit` or `miss`.
        triton_requests: gRPC requests that ended, by code.
        triton_durations: How long they took, in seconds.
    """

    def __init__(self) -> None:
        """Every application has a registry of its own."""
        self.registry = CollectorRegistry()
        ProcessCollector(namespace=_NAMESPACE, registry=self.registry)
        counter = functools.partial(Counter, namespace=_NAMESPACE, registry=self.registry)
        gauge = functools.partial(Gauge, namespace=_NAMESPACE, registry=self.registry)
        histogram = functools.partial(Histogram, namespace=_NAMESPACE, registry=self.registry)
        self._requests = counter("requests", "HTTP requests answered.", ["route", "method", "status"])
        self._durations = histogram(
            "request_duration_seconds",
            "Time from when a request has been received to its answer.",
            ["route"],
            buckets=_DURATIONS_S,
        )
        self.in_progress = gauge("requests_in_progress", "HTTP requests being worked on.", ["route"])
        self._refusals = counter(
            "refusals", "HTTP requests answered with an error, by the error's code.", ["route", "reason"]
        )
        self._frames = counter("frames", "Frames of detections by status; OK is scored.", ["status"])
        self._faces = counter("frames_with_face", "Scored frames with a face in them.")
        self._probabilities = histogram(
            "frame_fake_probability", "Fake probabilities (0-1) of scored frames.", buckets=_PROBABILITIES
        )
        self.verdicts = counter("verdicts", "Verdicts of POST /detect.", ["media_type", "verdict"])
        self.cache = counter("score_cache_frames", "Frames looked up in the score cache: hit or miss.", ["result"])
        self.triton_requests = counter("triton_requests", "gRPC requests to Triton, canaries included.", ["code"])
        self.triton_durations = histogram(
            "triton_request_duration_seconds",
            "Time from sending a gRPC request to its end, however it ended.",
            buckets=_DURATIONS_S,
        )
        self._begin_at_zero()

    def request_answered(self, route: str, method: str, status: int, reason: str | None, duration_s: float) -> None:
        """Counts an answer.

        Args:
            route: Template of the route, never the path as it came.
            method: As it came; unusual ones are counted together.
            status: HTTP status.
            reason: Code of the error, None for a good answer.
            duration_s: Since the request began, in seconds.
        """
        self._requests.labels(route, method if method in _METHODS else "OTHER", status).inc()
        self._durations.labels(route).observe(duration_s)
        if reason is not None:
            self._refusals.labels(route, reason).inc()

    def frames(self, scores: Sequence[FrameScore]) -> None:
        """Counts frames of a detection, those that were not scored too."""
        for status, count in Tally(score.status for score in scores).items():
            self._frames.labels(status).inc(count)
        for score in scores:
            if score.fake_probability is not None:
                self._probabilities.observe(score.fake_probability)
        if faces := sum(score.face_box_px is not None for score in scores):
            self._faces.inc(faces)

    def _begin_at_zero(self) -> None:
        for route in ("/detect", "/api/v1/inference"):
            self._durations.labels(route)
            for status in (200, 500, 503, 504):
                self._requests.labels(route, "POST", status)
            self._refusals.labels(route, "OVERLOADED")
        for status_name in (OK, "INTERNAL"):
            self._frames.labels(status_name)
        for media_type in MediaType:
            for verdict in DetectionResult:
                self.verdicts.labels(media_type.value, verdict.value)
        for result in ("hit", "miss"):
            self.cache.labels(result)
        for code in _TRITON_CODES:
            self.triton_requests.labels(code)
