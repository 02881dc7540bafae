"""The detector: media in, verdict out, whatever computes the scores."""

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from deepfake_client.errors import ConfigurationError, InputError, NothingScoredError
from deepfake_client.frames import identify, open_media, read_frames
from deepfake_client.media import Frame, MediaFormat, MediaType
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import OK, Deadline, FrameScore, FrameScorer, Scoring
from deepfake_client.scores import DetectionResult, MediaScores, media_scores, verdict
from deepfake_client.settings import ClientSettings
from deepfake_client.video.sample import sample_video


@dataclass(frozen=True)
class ScoredFrame:
    """A frame's place in the media and its score.

    Attributes:
        index: Position among the sampled frames, from 0.
        timestamp_s: Presentation time in seconds from the first frame; 0.0 for an image.
        score: What the service answered.
        encoded: The frame as it was sent, an image file; None unless `detect` was asked to keep it.
    """

    index: int
    timestamp_s: float
    score: FrameScore
    encoded: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DetectionOutput:
    """The result of one detection.

    Attributes:
        result: real, fake or uncertain, by the model's verdict bands.
        confidence_score: The fake probability 0-1: the image's, or the mean over a video's scored frames.
        processing_time_seconds: Wall time of the detection.
        metadata: JSON-ready details: input_type, frames_analyzed, frame_predictions, faces_detected, the input's
            SHA-256 and the model's identity.
        model_version: Name, precision and release of the model.
        scores: Risk scores, 0-100.
        frames: Every sampled frame with its score, in order.
        model: The release that answered.
        media_bytes: Size of the input file.
    """

    result: DetectionResult
    confidence_score: float
    processing_time_seconds: float
    metadata: dict[str, Any]
    model_version: str
    scores: MediaScores
    frames: tuple[ScoredFrame, ...] = field(repr=False)
    model: ModelInfo = field(repr=False)
    media_bytes: int


class Detector:
    """Detects deepfakes in images and videos. Thread-safe; a context manager."""

    def __init__(
        self,
        scorer: FrameScorer,
        settings: ClientSettings | None = None,
        decode_video: Callable[..., list[Frame]] = sample_video,
    ) -> None:
        """Takes over the scorer and closes it in `close`.

        Args:
            scorer: What scores.
            settings: From the environment by default.
            decode_video: `video.sample.sample_video`, or something of the same arguments and results, such as
                `IsolatedDecoder.sample_video`.
        """
        self.scorer = scorer
        self.settings = settings or ClientSettings()
        self._decode_video = decode_video

    def detect(
        self,
        media: str | Path | bytes | BinaryIO,
        media_type: MediaType | None = None,
        *,
        timeout_s: float | Deadline | None = None,
        request_id: str = "",
        keep_frames: bool = False,
    ) -> DetectionOutput:
        """Scores one image or video.

        Args:
            media: A path, the encoded file's bytes, or a seekable binary stream.
            media_type: Checked against the content when given; sniffed otherwise.
            timeout_s: Deadline of this detection, `ClientSettings.timeout_s` by default. A `Deadline` can be shared by
                several and cancelled from another thread.
            request_id: Sent to Triton for its logs and traces.
            keep_frames: Whether `ScoredFrame.encoded` holds the frames that were sent, which takes their memory.

        Raises:
            InputError: The media cannot be read, decoded or scored.
            ConfigurationError: `timeout_s` is not more than 0.
            ServiceError: The service cannot answer.
        """
        if isinstance(media, bytes):
            return self._detect(io.BytesIO(media), "input", media_type, timeout_s, request_id, keep_frames)
        if isinstance(media, str | Path):
            with open_media(Path(media)) as stream:
                return self._detect(stream, str(media), media_type, timeout_s, request_id, keep_frames)
        return self._detect(media, getattr(media, "name", "input"), media_type, timeout_s, request_id, keep_frames)

    def info(self, timeout_s: float | Deadline | None = None) -> ModelInfo:
        """Identity of the model that answers."""
        return self.scorer.info(self.deadline(timeout_s))

    def close(self) -> None:
        """Frees connections or models."""
        self.scorer.close()

    def __enter__(self) -> "Detector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def deadline(self, timeout_s: float | Deadline | None) -> Deadline:
        """The deadline that a `timeout_s` stands for; its clock has started.

        Raises:
            ConfigurationError: `timeout_s` is not more than 0.
        """
        if timeout_s is None:
            return Deadline(self.settings.timeout_s)
        if isinstance(timeout_s, Deadline):
            return timeout_s
        if not timeout_s > 0:
            raise ConfigurationError(
                f"timeout_s must be more than 0, not {timeout_s:g}; None means the setting's value"
            )
        return Deadline(timeout_s)

    def read_frames(self, stream: BinaryIO, format_: MediaFormat, name: str, deadline: Deadline) -> list[Frame]:
        """The frames of an open file that are scored, by the detector's settings; see `frames.read_frames`."""
        return read_frames(
            stream,
            format_,
            name,
            deadline=deadline,
            max_bytes=self.settings.max_media_bytes,
            keyframes_may_stand_in=self.settings.keyframes_may_stand_in,
            decode_video=self._decode_video,
        )

    def _detect(
        self,
        stream: BinaryIO,
        name: str,
        media_type: MediaType | None,
        timeout_s: float | Deadline | None,
        request_id: str,
        keep_frames: bool,
    ) -> DetectionOutput:
        started = time.monotonic()
        deadline = self.deadline(timeout_s)
        format_ = identify(stream, name)
        if media_type is not None and format_.media_type is not media_type:
            raise InputError(f"{name}: said to be a {media_type} but its content is {format_.name}")
        frames = self.read_frames(stream, format_, name, deadline)
        scoring = self.scorer.score([frame.encoded for frame in frames], deadline, request_id)
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        size = stream.seek(0, io.SEEK_END)
        return detection_output(
            frames,
            scoring,
            format_,
            digest,
            name,
            time.monotonic() - started,
            media_bytes=size,
            keep_frames=keep_frames,
        )


def detection_output(
    frames: Sequence[Frame],
    scoring: Scoring,
    format_: MediaFormat,
    sha256: str,
    name: str,
    elapsed_s: float,
    *,
    media_bytes: int,
    keep_frames: bool = False,
) -> DetectionOutput:
    """Aggregates the frame scores of one media file.

    Raises:
        NothingScoredError: No frame was scored.
    """
    info, scores = scoring.info, scoring.scores
    p = [score.fake_probability for score in scores if score.fake_probability is not None]
    if not p:
        statuses = [score.status for score in scores]
        first = statuses[0] if statuses else "NO_FRAMES"
        raise NothingScoredError(f"{name}: no frame could be scored: {first}. {info.status_meaning(first)}", statuses)
    fake_probability = sum(p) / len(p)
    scored = tuple(
        ScoredFrame(frame.index, frame.timestamp_s, score, frame.encoded if keep_frames else None)
        for frame, score in zip(frames, scores, strict=True)
    )
    metadata = {
        "input_type": format_.media_type.value,
        "format": format_.name,
        "frames_analyzed": len(p),
        "frames_failed": sum(score.status != OK for score in scores),
        "frame_predictions": [_frame_prediction(frame) for frame in scored],
        "faces_detected": sum(score.face_box_px is not None for score in scores),
        "sha256": sha256,
        "model": info.identity().model_dump(mode="json", exclude_none=True),
    }
    return DetectionOutput(
        result=verdict(fake_probability, info.verdict_bands.of(format_.media_type)),
        confidence_score=fake_probability,
        processing_time_seconds=elapsed_s,
        metadata=metadata,
        model_version=info.version,
        scores=media_scores(p, format_.media_type),
        frames=scored,
        model=info,
        media_bytes=media_bytes,
    )


def _frame_prediction(frame: ScoredFrame) -> dict[str, Any]:
    score = frame.score
    return {
        "index": frame.index,
        "timestamp_s": round(frame.timestamp_s, 6),
        "status": score.status,
        "fake_probability": score.fake_probability,
        "face_box": list(score.face_box_px) if score.face_box_px else None,
        "face_score": score.face_score,
    }
