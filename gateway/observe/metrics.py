"""The gateway's Prometheus metrics. docs/operations.md has the table."""

from collections import Counter as Tally
from collections.abc import Sequence

from deepfake_client import DetectionResult, MediaType
from deepfake_client.scorer import ANSWERED, CANCELLED, OK, FrameScore
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "deepfake_gateway_"

_DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
_PROBABILITIES = tuple(tenth / 10 for tenth in range(1, 11))
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_TRITON_CODES = (
    ANSWERED, CANCELLED, "DEADLINE", "MODEL_FAULT", "MODEL_NOT_SERVED", "MODEL_UNAVAILABLE", "OVERLOADED",
)  # fmt: skip
"""How a gRPC request ends: `deepfake_client.scorer`."""


class GatewayMetrics:
    """What the requests of this process add up to. Thread-safe.

    Series that alerts count the growth of exist from the start, at 0: growth from nothing would not be seen.
    """

    def __init__(self) -> None:
        """Every application has a registry of its own."""
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}requests", "HTTP requests answered.", ["route", "method", "status"], registry=registry
        )
        self._durations = Histogram(
            f"{PREFIX}request_duration_seconds",
            "Time from when a request has been received to its answer.",
            ["route"],
            buckets=_DURATIONS_S,
            registry=registry,
        )
        self._in_progress = Gauge(
            f"{PREFIX}requests_in_progress", "HTTP requests being worked on.", ["route"], registry=registry
        )
        self._refusals = Counter(
            f"{PREFIX}refusals",
            "HTTP requests answered with an error, by the error's code.",
            ["route", "reason"],
            registry=registry,
        )
        self._frames = Counter(
            f"{PREFIX}frames", "Frames of detections by status; OK is scored.", ["status"], registry=registry
        )
        self._faces = Counter(f"{PREFIX}frames_with_face", "Scored frames with a face in them.", registry=registry)
        self._probabilities = Histogram(
            f"{PREFIX}frame_fake_probability",
            "Fake probabilities (0-1) of scored frames.",
            buckets=_PROBABILITIES,
            registry=registry,
        )
        self._verdicts = Counter(
            f"{PREFIX}verdicts", "Verdicts of POST /detect.", ["media_type", "verdict"], registry=registry
        )
        self._cache = Counter(
            f"{PREFIX}score_cache_frames",
            "Frames looked up in the score cache: hit or miss.",
            ["result"],
            registry=registry,
        )
        self._triton_requests = Counter(
            f"{PREFIX}triton_requests", "gRPC requests to Triton, canaries included.", ["code"], registry=registry
        )
        self._triton_durations = Histogram(
            f"{PREFIX}triton_request_duration_seconds",
            "Time from sending a gRPC request to its end, however it ended.",
            buckets=_DURATIONS_S,
            registry=registry,
        )
        self._begin_at_zero()

    def request_began(self, route: str) -> None:
        """A request is being worked on, until `request_ended`."""
        self._in_progress.labels(route).inc()

    def request_ended(self, route: str) -> None:
        """It is not any more."""
        self._in_progress.labels(route).dec()

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

    def verdict(self, media_type: str, verdict: str) -> None:
        """Counts a verdict."""
        self._verdicts.labels(media_type, verdict).inc()

    def cache_looked_up(self, result: str, count: int) -> None:
        """Counts frames that were looked up in the score cache."""
        if count:
            self._cache.labels(result).inc(count)

    def triton_answered(self, code: str, duration_s: float) -> None:
        """Counts the end of a gRPC request."""
        self._triton_requests.labels(code).inc()
        self._triton_durations.observe(duration_s)

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
                self._verdicts.labels(media_type.value, verdict.value)
        for result in ("hit", "miss"):
            self._cache.labels(result)
        for code in _TRITON_CODES:
            self._triton_requests.labels(code)
