"""The detector: takes a media file, has its frames scored, and gives the verdict."""

import contextlib
import hmac
import io
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from deepfake_client.analysis.closer_look import Look, check_looks, look_closer
from deepfake_client.analysis.faces import score_every_face
from deepfake_client.analysis.further_frames import FurtherLimits, score_further_frames
from deepfake_client.errors import ConfigurationError, InputError, MediaTooLargeError
from deepfake_client.media import Frame, Media, MediaType, identify, open_media
from deepfake_client.provenance.model import Provenance
from deepfake_client.provenance.read import read_provenance
from deepfake_client.release import ModelInfo
from deepfake_client.result import DetectionOutput, detection_output
from deepfake_client.scorer import Deadline, FrameScore, FrameScorer, Scoring
from deepfake_client.settings import ClientSettings
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling, VideoDecoder

_LOG = logging.getLogger("deepfake_client.detector")


class Detector:
    """Detects deepfakes in images and videos. Thread-safe; a context manager."""

    def __init__(
        self,
        scorer: FrameScorer,
        settings: ClientSettings | None = None,
        decode_video: VideoDecoder = sample_video,
    ) -> None:
        """Takes over the scorer and closes it in `close`.

        Args:
            scorer: What scores.
            settings: From the environment by default.
            decode_video: Decodes videos in this process, or, as `IsolatedDecoder.sample_video`, in one of its own.
        """
        self.scorer = scorer
        self.settings = settings or ClientSettings()
        self._decode_video = decode_video

    def detect(
        self,
        media: str | Path | bytes | BinaryIO | Media,
        media_type: MediaType | None = None,
        *,
        timeout_s: float | Deadline | None = None,
        request_id: str = "",
        keep_frames: bool = False,
        include: Collection[Look] = (),
    ) -> DetectionOutput:
        """Scores one image or video.

        Args:
            media: A path, the encoded file's bytes, a seekable binary stream, or one that `identify` has looked at.
            media_type: Checked against the content when given; sniffed otherwise.
            timeout_s: Deadline of this detection, `ClientSettings.timeout_s` by default. A `Deadline` can be shared by
                several and cancelled from another thread.
            request_id: Sent to Triton for its logs and traces.
            keep_frames: Whether `ScoredFrame.encoded` holds the frames that were sent, which takes their memory.
            include: What `DetectionDetails` holds besides: `stability` (5 more pictures are scored, 10 of a video),
                `sensitivity` (50 more), `further_frames` (at most as many as the setting of that name says: around what
                stands out in a video; they sharpen `segments`, and change no score). What no time is left for is
                skipped.

        Raises:
            InputError: The media cannot be read, decoded or scored.
            ConfigurationError: `timeout_s` is not more than 0, or `include` holds something else.
            ServiceError: The service cannot answer.
        """
        started = time.monotonic()
        deadline = self.deadline(timeout_s)
        check_looks(include)
        with _opened(media) as file:
            if media_type is not None and file.format.media_type is not media_type:
                found = f"{'animated ' if file.format.is_animation else ''}{file.format.name}"
                raise InputError(f"{file.name}: given as {media_type.value}, but its content is {found}")
            frames = self.read_frames(file, deadline)
            scoring = self.score_frames([frame.encoded for frame in frames], deadline, request_id)
            further = None
            if "further_frames" in include and file.format.media_type is MediaType.VIDEO:
                further = self._further(file, frames, scoring, deadline, request_id, time.monotonic() - started)
            output = detection_output(
                frames,
                scoring,
                file.format,
                name=file.name,
                sha256=file.sha256,
                size_bytes=file.size_bytes(),
                provenance=self._provenance(file, frames, deadline),
                elapsed_s=time.monotonic() - started,
                keep_frames=keep_frames,
                rules=self.settings.face_rules,
                further=further,
            )
            if not include:
                return output
            output = look_closer(output, frames, self.scorer, include, deadline, request_id)
            return replace(output, processing_time_seconds=time.monotonic() - started)

    def score_frames(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        """Scores encoded frames and their faces, by the detector's settings; see `score_every_face`."""
        return score_every_face(self.scorer, images, deadline, request_id, self.settings.face_rules)

    def info(self, timeout_s: float | Deadline | None = None) -> ModelInfo:
        """Identity of the model that answers."""
        return self.scorer.info(self.deadline(timeout_s))

    def close(self) -> None:
        """Frees connections or models."""
        self.scorer.close()

    def __enter__(self) -> "Detector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def deadline(self, timeout_s: float | Deadline | None) -> Deadline:
        """Starts the clock for a `timeout_s`.

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

    def read_frames(self, media: Media, deadline: Deadline) -> list[Frame]:
        """The frames of an open file that are scored, by the detector's settings; see the function `read_frames`."""
        return read_frames(media, self._sampling(media, deadline), self._decode_video)

    def _further(
        self, media: Media, frames: list[Frame], scoring: Scoring, deadline: Deadline, request_id: str, took_s: float
    ) -> tuple[list[Frame], list[FrameScore]]:
        def read(within_s: tuple[float, float], count: int, max_bytes: int) -> list[Frame]:
            sampling = replace(self._sampling(media, deadline), within_s=within_s, count=count, max_bytes=max_bytes)
            return read_frames(media, sampling, self._decode_video)

        return score_further_frames(
            frames,
            scoring,
            deadline,
            FurtherLimits(self.settings.further_frames, self.settings.max_media_bytes, took_s),
            read,
            lambda images: self.score_frames(images, deadline, request_id),
        )

    def _sampling(self, media: Media, deadline: Deadline) -> Sampling:
        return Sampling(
            max_bytes=self.settings.max_media_bytes,
            keyframes_may_stand_in=self.settings.keyframes_may_stand_in,
            seed=self._seed(media),
            deadline=deadline,
        )

    def _provenance(self, media: Media, frames: list[Frame], deadline: Deadline) -> Provenance | None:
        """What the file says of itself, unless that is nothing or nobody wants to know."""
        if not self.settings.provenance:
            return None
        tags = next((frame.container_tags for frame in frames), ())
        try:
            found = read_provenance(media, tags, deadline)
        except Exception:  # whatever a file says of itself, it never costs the verdict
            _LOG.exception("what a file says of itself cannot be read")
            return None
        return None if found.is_empty else found

    def _seed(self, media: Media) -> bytes:
        """What decides on the places in a video: nobody can tell it from the file alone."""
        secret = self.settings.sampling_secret
        if secret is None or media.format.media_type is not MediaType.VIDEO:
            return b""
        return hmac.digest(secret.get_secret_value().encode(), bytes.fromhex(media.sha256), "sha256")


@contextlib.contextmanager
def _opened(media: str | Path | bytes | BinaryIO | Media) -> Iterator[Media]:
    """Opens and identifies what `detect` was given."""
    if isinstance(media, Media):
        yield media
    elif isinstance(media, str | Path):
        with open_media(Path(media)) as stream:
            yield identify(stream, str(media))
    elif isinstance(media, bytes):
        yield identify(io.BytesIO(media), "input")
    else:
        yield identify(media, getattr(media, "name", "input"))


def read_frames(
    media: Media, sampling: Sampling = DEFAULT_SAMPLING, decode_video: VideoDecoder = sample_video
) -> list[Frame]:
    """The frames of a media file that are scored: an image itself, or frames of a video spread over it.

    Raises:
        MediaDecodeError: No frame of the video can be decoded.
        MediaTooLargeError: The frames hold more than `sampling.max_bytes`.
        DeadlineExceededError: The deadline passed.
    """
    if media.format.media_type is MediaType.VIDEO:
        return decode_video(media, sampling)
    limit = sampling.max_bytes
    encoded = media.stream.read(-1 if limit is None else limit + 1)
    if limit is not None and len(encoded) > limit:
        raise MediaTooLargeError(f"{media.name}: the image holds over {limit} bytes, the limit; send a smaller one")
    return [Frame(0, 0.0, encoded)]
