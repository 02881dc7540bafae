"""A detector and a scorer that tell of their work; see `telemetry`."""

from collections.abc import Callable, Sequence

from deepfake_client import Deadline, Detector, ModelInfo
from deepfake_client.media import Frame, Media
from deepfake_client.scorer import FrameScorer, Scoring
from deepfake_client.settings import ClientSettings

from gateway.observe.telemetry import Telemetry


class ObservedDetector(Detector):
    """A detector whose decoding is a step of the request's trace, and whose scorer is observed."""

    def __init__(
        self,
        scorer: FrameScorer,
        settings: ClientSettings,
        decode_video: Callable[..., list[Frame]],
        telemetry: Telemetry,
    ) -> None:
        """Takes over the scorer; see `Detector`."""
        super().__init__(ObservedScorer(scorer, telemetry), settings, decode_video)
        self._telemetry = telemetry

    def read_frames(self, media: Media, deadline: Deadline) -> list[Frame]:
        """See `Detector.read_frames`."""
        with self._telemetry.step("read frames"):
            return super().read_frames(media, deadline)


class ObservedScorer:
    """A scorer whose frames are counted. It stands before the score cache, and health checks pass it by."""

    def __init__(self, scorer: FrameScorer, telemetry: Telemetry) -> None:
        self._scorer = scorer
        self._telemetry = telemetry

    def info(self, deadline: Deadline) -> ModelInfo:
        """See `FrameScorer.info`."""
        return self._scorer.info(deadline)

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """See `FrameScorer.score`."""
        with self._telemetry.step("score frames"):
            scoring = self._scorer.score(images, deadline, request_id)
        self._telemetry.frames(scoring.scores)
        return scoring

    def close(self) -> None:
        """See `FrameScorer.close`."""
        self._scorer.close()
