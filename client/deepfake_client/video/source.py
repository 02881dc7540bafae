"""Opening and decoding one video so that nothing in it can reach another file, and damage gives no made-up frame."""

import contextlib
import gc
import importlib
import itertools
import os
import pkgutil
from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import ColorTrc
from PIL import Image

from deepfake_client.analysis.scenes import sketch
from deepfake_client.errors import MediaDecodeError, MediaTooLargeError
from deepfake_client.media import ContainerTag, Media, VideoTrack
from deepfake_client.pictures import MAX_PIXELS
from deepfake_client.video.colour import RgbConverter
from deepfake_client.video.interlacing import deinterlaced
from deepfake_client.video.picture import (
    MAX_PLAIN_BYTES,
    DecodedFrame,
    EncodedFrame,
    encode_picture,
    picture,
    shown_size_px,
)
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling
from deepfake_client.video.tracks import container_tags, said_length_s, shown_track
from deepfake_client.video.unindexed import Unindexed, is_interlaced

MAX_FRAME_PIXELS = MAX_PIXELS
"""Largest width x height of a video, as for images: checked on the header, and by the decoder on every frame."""

_USUAL_RATE = 25
"""Frames a second of a video that does not say it."""

_READ_BYTES = 2**18

_MOST_TAGS = 50

_MOST_THREADS = 4
"""Each thread of a decoder holds frames of its own: with 16, a video of 49 megapixels took 2.4 GiB."""

_SAYS_WHAT_NOTHING_REFERS_TO = frozenset({"h264"})
"""Decoders that skip exactly what nothing refers to: HEVC's mark holds within one temporal layer only, and dav1d takes
the setting once, when it opens."""


class FrameBeforeMissingError(Exception):
    """A frame is interlaced, and the one before it may not have been decoded; from now on none is left out."""


class FrameStore(Protocol):
    """Where encoded frames are kept instead of in memory."""

    def keep(self, encoded: bytes) -> bytes:
        """Takes a frame; what it returns stands for the frame."""

    def forget(self) -> None:
        """What was kept before is not needed any more."""


class VideoSource:
    """Opens one media file, as often as needed, so that nothing in it can reach another file or address."""

    def __init__(self, media: Media, sampling: Sampling = DEFAULT_SAMPLING, store: FrameStore | None = None) -> None:
        """Opens nothing yet.

        `keep_damaged` may be set for pictures that a decoder made up; `skips_unreferenced` says, once the video was
        opened, whether decoding only wanted frames saves more than the frames that it does not come to;
        `short_of_memory`, whether frames are missing because the decoder got no memory; `track` is the one that was
        opened, None where it is the only one; `frame_ticks` is the time between two frames at its frame rate;
        `said_s`, how long the file says that the video is, None where it does not; `tags` are what the file says of
        itself.

        Args:
            media: The file, of whose format one demuxer is allowed.
            sampling: Its deadline bounds demuxing and decoding, its `max_bytes` the frames encoded since the video was
                last opened.
            store: Takes the frames; None keeps them in memory.
        """
        self._store = store
        self._media = media
        self._deadline = sampling.deadline
        self._max_bytes = sampling.max_bytes
        self._encoded_bytes = 0
        self._converter = RgbConverter()
        self._pixel_aspect: Fraction | None = None
        self._interlaced = False
        self.keep_damaged = False
        self.short_of_memory = False
        self.skips_unreferenced = False
        self.track: VideoTrack | None = None
        self.tags: tuple[ContainerTag, ...] = ()
        self.frame_ticks = 1.0
        self.said_s: float | None = None
        demuxer = media.format.demuxer
        self._unindexed = Unindexed(demuxer) if Unindexed.reads(demuxer) else None

    @contextlib.contextmanager
    def open_video(self) -> "Iterator[tuple[av.container.InputContainer, av.VideoStream]]":
        """The container, opened with the one demuxer of the sniffed format and no protocol, and its video stream."""
        self._media.stream.seek(0)
        self._encoded_bytes = 0
        if self._store is not None:
            self._store.forget()
        with av.open(
            self._media.stream,
            mode="r",
            format=self._media.format.demuxer,
            options={"protocol_whitelist": "none"},
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
            io_open=_refuse_to_open,
        ) as container:
            video, self.track = shown_track(container)
            self.tags = tuple(itertools.islice(container_tags(container, video), _MOST_TAGS))
            self._pixel_aspect = video.sample_aspect_ratio
            self.frame_ticks = float(1 / (video.guessed_rate or _USUAL_RATE) / (video.time_base or 1))
            self.said_s = said_length_s(container, video)
            width, height = shown_size_px(video.width, video.height, self._pixel_aspect)
            if width * height > MAX_FRAME_PIXELS:
                raise MediaDecodeError(f"its frames are {width} x {height}, over {MAX_FRAME_PIXELS} pixels")
            video.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            video.thread_type = "AUTO"
            video.codec_context.thread_count = min(os.cpu_count() or 1, _MOST_THREADS)
            self._interlaced |= self._unindexed is not None and is_interlaced(video)
            self.skips_unreferenced = video.codec_context.name in _SAYS_WHAT_NOTHING_REFERS_TO and not self._interlaced
            yield container, video

    def packets(self, container: "av.container.InputContainer", video: "av.VideoStream") -> "Iterator[av.Packet]":
        """Whole packets from the current position; a file that is cut ends after its last whole one."""
        whole = self._whole_packets(container, video)
        if self._unindexed is None:
            return whole
        return self._unindexed.steady(whole, float(video.time_base or 1), self.frame_ticks)

    def seek(self, container: "av.container.InputContainer", video: "av.VideoStream", keyframe: int) -> None:
        """Moves to the key frame with this time, or one before it; raises FFmpegError where that fails."""
        if self._unindexed is None:
            container.seek(keyframe, stream=video, backward=True)
        else:
            self._unindexed.seek(container, video, keyframe)

    def _whole_packets(
        self, container: "av.container.InputContainer", video: "av.VideoStream"
    ) -> "Iterator[av.Packet]":
        demuxed = container.demux(video)
        while True:
            if self._deadline is not None:
                self._deadline.remaining_s()
            try:
                packet = next(demuxed, None)
            except av.error.FFmpegError:
                return
            if packet is None:
                return
            if packet.size and not packet.is_corrupt:
                yield packet

    def decoded(
        self,
        container: "av.container.InputContainer",
        video: "av.VideoStream",
        wanted: Collection[int] | None = None,
    ) -> Iterator[DecodedFrame]:
        """Frames in display order from the current position; what cannot be decoded is left out.

        Args:
            container: With `wanted`, positioned at a key frame before those frames. Decoding has to go on at a seek.
            video: Its video stream.
            wanted: Presentation times, in a file whose packets carry the times of their frames. Decoding ends with
                their packets, and leaves out frames that no other refers to, where the bit stream says which those
                are: the wanted frames are, bit for bit, those that decoding everything gives. Interlaced frames need
                the one shown before, so once one was met, nothing is left out.

        Raises:
            FrameBeforeMissingError: A wanted frame needs one that was left out.
        """
        needed = None if self._interlaced else wanted
        packets = self.packets(container, video) if needed is None else self._packets_until(container, video, needed)
        key_frame = before = None
        for frame in self._undamaged(video, packets):
            if frame.key_frame:
                key_frame, before = frame, None
            elif needed is not None and frame.interlaced_frame and frame.pts in needed:
                self._interlaced = True
                raise FrameBeforeMissingError
            yield DecodedFrame(frame, key_frame, before)
            before = frame

    def _undamaged(self, video: "av.VideoStream", packets: "Iterator[av.Packet]") -> "Iterator[av.VideoFrame]":
        """After damage a decoder goes on from pictures that it made up: all up to the next key frame is left out."""
        damaged = False
        for packet in itertools.chain(packets, [None]):
            try:
                frames = video.codec_context.decode(packet)
            except av.error.FFmpegError as error:
                damaged = True
                self.short_of_memory |= isinstance(error, MemoryError)
                continue
            for frame in frames:
                damaged = frame.is_corrupt or (damaged and not frame.key_frame)
                if not damaged or self.keep_damaged:
                    yield frame

    def _packets_until(
        self, container: "av.container.InputContainer", video: "av.VideoStream", wanted: Collection[int]
    ) -> "Iterator[av.Packet]":
        missing = set(wanted)
        for packet in self.packets(container, video):
            if self.skips_unreferenced:
                video.codec_context.skip_frame = "DEFAULT" if packet.pts in missing else "NONREF"
            yield packet
            missing.discard(packet.pts)
            if not missing:
                return  # the decoder is drained at once: it need not be fed until it lets the last frame go

    def encode(self, decoded: DecodedFrame) -> EncodedFrame:
        """The picture of a decoded frame as an image file, with its sketch, see `picture` and `encode_picture`.

        Raises:
            MediaTooLargeError: The frames of this pass hold more than `max_bytes`.
            MediaDecodeError: The frame's colour model is not supported.
        """
        frame = decoded.frame
        if 3 * frame.width * frame.height > MAX_PLAIN_BYTES:
            # A frame whose side data were read stands in a cycle with them: on the collector's own schedule all frames
            # would be in memory decoded as well as encoded. It costs little beside the PNG.
            gc.collect()
        pixels = picture(decoded, self._pixel_aspect, self._converter)
        return EncodedFrame(self.keep(encode_picture(pixels), (pixels.shape[1], pixels.shape[0])), sketch(pixels))

    def keep(self, encoded: bytes, size_px: tuple[int, int]) -> bytes:
        """Takes note of an encoded frame, and gives what stands for it; raises as `encode`."""
        self._encoded_bytes += len(encoded)
        if self._max_bytes is not None and self._encoded_bytes > self._max_bytes:
            raise MediaTooLargeError(
                f"{self._media.name}: the frames to be scored, {size_px[0]} x {size_px[1]}, hold over "
                f"{self._max_bytes} bytes together, the limit (DEEPFAKE_CLIENT_MAX_MEDIA_BYTES); send the video at a "
                "lower resolution"
            )
        return encoded if self._store is None else self._store.keep(encoded)

    @property
    def orders_by_decoding(self) -> bool:
        """Whether the container stores no presentation times."""
        return self._media.format.demuxer == "avi"


def _refuse_to_open(url: str, *_: Any) -> Any:
    raise MediaDecodeError(f"the file refers to another one ({url[:80]!r}), which is not opened")


def warm_up() -> None:
    """Loads what decoding and encoding load when it is first used: later no file may be opened any more."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.startswith(("av.__main__", "av.datasets")):
            importlib.import_module(module.name)
    Image.init()  # animated pictures come here, too
    np.unique(np.zeros(1, np.int64))  # loads numpy.ma in NumPy 2.5
    for side, transfer in ((8, ColorTrc.SMPTE2084), (8, ColorTrc.ARIB_STD_B67), (2048, ColorTrc.UNSPECIFIED)):
        frame = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), format="rgb24")
        frame.color_trc = transfer
        pixels = picture(DecodedFrame(frame), None, RgbConverter())
        encode_picture(pixels)  # as TIFF and as PNG
        sketch(pixels)
    deinterlaced(av.VideoFrame(16, 16, "yuv420p"), None)
