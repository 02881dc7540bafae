"""Opening and decoding one video so that nothing in it can reach another file, and damage gives no made-up frame."""

import contextlib
import gc
import importlib
import io
import itertools
import pkgutil
import struct
from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepfake_client.errors import MediaTooLargeError
from deepfake_client.media import Media
from deepfake_client.video.sampling import DEFAULT_SAMPLING, Sampling

MAX_FRAME_PIXELS = 50_000_000
"""Largest width x height of a video, as for images: checked on the header, and by the decoder on every frame."""

_MAX_BMP_BYTES = 8 * 2**20
"""As BMP up to some 1080p, where memory is no matter and time is; larger frames as PNG."""

_READ_BYTES = 2**18

_SAYS_WHAT_NOTHING_REFERS_TO = frozenset({"h264"})
"""Decoders that skip exactly what nothing refers to: HEVC's mark holds within one temporal layer only, and dav1d takes
the setting once, when it opens."""


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
        opened, whether decoding only wanted frames saves more than the frames that it does not come to.

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
        self.keep_damaged = False
        self.skips_unreferenced = False

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
            streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            if not streams:
                raise ValueError("it has no video stream")
            video = streams[0]
            if video.codec_context is None:
                raise ValueError("its video codec is not known")
            if video.width * video.height > MAX_FRAME_PIXELS:
                raise ValueError(f"its frames are {video.width} x {video.height}, over {MAX_FRAME_PIXELS} pixels")
            video.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            video.thread_type = "AUTO"
            self.skips_unreferenced = video.codec_context.name in _SAYS_WHAT_NOTHING_REFERS_TO
            yield container, video

    def packets(self, container: "av.container.InputContainer", video: "av.VideoStream") -> "Iterator[av.Packet]":
        """Whole packets from the current position; a file that is cut ends after its last whole one."""
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
    ) -> "Iterator[av.VideoFrame]":
        """Frames in display order from the current position; what cannot be decoded is left out.

        After damage a decoder goes on from pictures that it made up, so what follows is left out too, up to the next
        key frame.

        Args:
            container: With `wanted`, positioned at a key frame before those frames. Decoding has to go on at a seek.
            video: Its video stream.
            wanted: Presentation times, in a file whose packets carry the times of their frames. Decoding ends with
                their packets, and leaves out frames that no other refers to, where the bit stream says which those
                are: the wanted frames are, bit for bit, those that decoding everything gives.
        """
        packets = self.packets(container, video) if wanted is None else self._packets_until(container, video, wanted)
        damaged = False
        for packet in itertools.chain(packets, [None]):
            try:
                frames = video.codec_context.decode(packet)
            except av.error.FFmpegError:
                damaged = True
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

    def encode(self, frame: "av.VideoFrame") -> bytes:
        """A decoded frame as an image file, see `encode_frame`.

        Raises:
            MediaTooLargeError: The frames of this pass hold more than `max_bytes`.
        """
        if 3 * frame.width * frame.height > _MAX_BMP_BYTES:
            # A frame whose side data were read stands in a cycle with them: on the collector's own schedule all frames
            # would be in memory decoded as well as encoded. It costs little beside the PNG.
            gc.collect()
        encoded = encode_frame(frame)
        self._encoded_bytes += len(encoded)
        if self._max_bytes is not None and self._encoded_bytes > self._max_bytes:
            raise MediaTooLargeError(
                f"{self._media.name}: the frames to be scored, {frame.width} x {frame.height}, hold over "
                f"{self._max_bytes} bytes together, the limit (DEEPFAKE_CLIENT_MAX_MEDIA_BYTES); send the video at a "
                "lower resolution"
            )
        return encoded if self._store is None else self._store.keep(encoded)

    @property
    def orders_by_decoding(self) -> bool:
        """Whether the container stores no presentation times."""
        return self._media.format.demuxer == "avi"


def _refuse_to_open(url: str, *_: Any) -> Any:
    raise PermissionError(f"the file refers to another one ({url[:80]!r}), which is not opened")


def encode_frame(frame: "av.VideoFrame") -> bytes:
    """A decoded frame as a lossless image file, turned as the video asks: BMP, far cheaper than PNG, if small."""
    pixels = _upright(frame.to_ndarray(format="rgb24"), frame)
    pixels = np.ascontiguousarray(pixels)
    if pixels.nbytes > _MAX_BMP_BYTES:
        return _png(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """By FFmpeg's encoder, twice as fast as Pillow's: 0.15 to 0.35 s for a 4K frame, of 3 to 16 MB."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1)
    encoder.options = {"pred": "up", "compression_level": "1"}
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _upright(pixels: NDArray[np.uint8], frame: "av.VideoFrame") -> NDArray[np.uint8]:
    """Applies the display matrix: x' = a x + c y and y' = b x + d y, stored as a, b, u, c, d, v, ... (ISO 14496-12)."""
    matrix = next((bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return pixels
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, right_to_left, bottom_up = pixels.transpose(1, 0, 2), c < 0, b < 0
    else:
        right_to_left, bottom_up = a < 0, d < 0
    return pixels[:: -1 if bottom_up else 1, :: -1 if right_to_left else 1]


def warm_up() -> None:
    """Loads what decoding and encoding load when it is first used: later no file may be opened any more."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.startswith(("av.__main__", "av.datasets")):
            importlib.import_module(module.name)
    np.unique(np.zeros(1, np.int64))  # loads numpy.ma in NumPy 2.5
    for side in (8, 2048):  # as BMP and as PNG
        encode_frame(av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), format="rgb24"))
