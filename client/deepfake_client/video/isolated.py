"""Videos decoded outside this process, see `isolation.tasks`."""

import json
import logging
import math
import os
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from deepfake_client.analysis.scenes import SKETCH_BYTES
from deepfake_client.errors import (
    DetectionError,
    MediaDecodeError,
    MediaDecodeTimeoutError,
    MediaTooLargeError,
    UnsupportedMediaError,
)
from deepfake_client.isolation.fork_server import NO_MEMORY
from deepfake_client.isolation.tasks import IsolatedTasks, TimeUpError
from deepfake_client.media import ContainerTag, Frame, Media, VideoLength, VideoTrack
from deepfake_client.video.decode_process import INDEX_LENGTH_BYTES
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling

_LOG = logging.getLogger("deepfake_client.video.isolated")
_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding one video may take.

    Attributes:
        time_s: Wall clock time, in seconds. The processor time is limited to that on all cores.
        memory_bytes: Memory that the decoder allocates, the encoded frames among it.
    """

    time_s: float = 20.0
    memory_bytes: int = 4 * 2**30


class IsolatedDecoder(IsolatedTasks):
    """Decodes each video in a process of its own. Thread-safe; the helper starts with the first video."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self._limits = limits or DecodeLimits()
        super().__init__("deepfake_client.video.decode_process", self._limits.time_s, self._limits.memory_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        return IsolatedDecoder, (self._limits,)

    def sample_video(self, media: Media, sampling: Sampling = DEFAULT_SAMPLING) -> list[Frame]:
        """As `deepfake_client.video.sample.sample_video`.

        Raises:
            MediaDecodeTimeoutError: Decoding takes longer than the limit.
            MediaDecodeError: Also where the decoder crashes.
            MediaTooLargeError: Also where the decoder needs more memory than the limit.
            OverloadedError: The system refuses another process.
            ServerUnavailableError: The helper died twice.
        """
        task = {
            "name": media.name,
            "count": sampling.count,
            "max_bytes": sampling.max_bytes,
            "keyframes_may_stand_in": sampling.keyframes_may_stand_in,
            "seed": sampling.seed.hex(),
            "within_s": sampling.within_s,
        }
        try:
            with self.run(media.stream, task, sampling.deadline) as (code, result):
                return self._outcome(code, result, media)
        except TimeUpError:
            raise MediaDecodeTimeoutError(
                f"{media.name}: this {media.format.name} file takes longer than {self._limits.time_s:g} s to decode, "
                "the limit; send it at a lower resolution (1080p is enough), or with a key frame at least every second"
            ) from None

    def _outcome(self, code: int, result: int, media: Media) -> list[Frame]:
        """The frames, or what the way in which a decoder ended stands for."""
        if code == 0:
            return _read_result(result, media)
        if code == NO_MEMORY:
            raise MediaTooLargeError(
                f"{media.name}: decoding this {media.format.name} file takes more than {self._limits.memory_bytes} "
                "bytes of memory, the limit; send the video at a lower resolution"
            )
        _LOG.warning("a decoder ended with code %d", code)
        raise MediaDecodeError(f"{media.name}: cannot be decoded as {media.format.name}: the decoder crashed on it")


def _read_result(result: int, media: Media) -> list[Frame]:
    """The frames in the result, which is empty afterwards; the process that wrote it may have been taken over."""
    try:
        return _parse_result(result, media.name)
    except (ValueError, TypeError, KeyError, LookupError, OSError) as error:
        raise MediaDecodeError(
            f"{media.name}: cannot be decoded as {media.format.name}: the decoder's answer makes no sense"
        ) from error


def _parse_result(result: int, name: str) -> list[Frame]:
    size = os.fstat(result).st_size - INDEX_LENGTH_BYTES
    length = int.from_bytes(os.pread(result, INDEX_LENGTH_BYTES, size), "big")
    end = size - length
    index: dict[str, Any] = json.loads(os.pread(result, length, end))
    if "error" in index:
        raise _error(index, name)
    track = index["track"] and VideoTrack(*map(int, index["track"]))
    video_length = index["length"] and VideoLength(*map(float, index["length"]))
    tags = tuple(ContainerTag(*map(str, tag)) for tag in index["tags"])
    frames = []
    # From the last one, and what was read is given back at once: never all frames in memory twice.
    for number, timestamp_s, hexadecimal, start, count in sorted(index["frames"], key=itemgetter(3), reverse=True):
        sketch = bytes.fromhex(hexadecimal)
        if not (0 <= start < start + count <= end and math.isfinite(timestamp_s) and len(sketch) == SKETCH_BYTES):
            raise ValueError("frames and index do not agree")
        encoded = os.pread(result, count, start)
        frames.append(Frame(int(number), float(timestamp_s), encoded, track, sketch, video_length, tags))
        os.ftruncate(result, start)
        end = start
    return sorted(frames, key=lambda frame: frame.index)


def _error(index: dict[str, Any], name: str) -> DetectionError:
    message = str(index["message"])[:_MESSAGE_CHARACTERS]
    kinds: tuple[type[DetectionError], ...] = (MediaDecodeError, MediaTooLargeError, UnsupportedMediaError)
    kind = next((kind for kind in kinds if kind.code == index["error"]), MediaDecodeError)
    return kind(message or f"{name}: cannot be decoded")
