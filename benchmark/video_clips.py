"""The clips that the video benchmark reads: numbered, moving, grainy pictures, encoded once and kept in a cache."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmark.scheduling import kept_scheduling

RATE = 30
"""Frames a second of every clip."""

_NUMBER_BITS = 12
_BLOCK_PX = 16
_GRAIN_PX = 509  # prime, so that grain and picture never line up again


@dataclass(frozen=True)
class ClipSpec:
    """A clip to make: one stretch of frames is encoded, and its packets are written `repeats` times in a row.

    The repeats keep the making of a long clip short; for a decoder each stretch is as much work as the first.

    Attributes:
        name: File name; the suffix decides the container.
        size: Width and height in pixels.
        stretch_frames: Frames of the stretch, which begins with a key frame; at most 4096.
        repeats: How often the stretch is written.
        codec: FFmpeg encoder.
        options: Encoder options.
        pix_fmt: Encoder pixel format.
    """

    name: str
    size: tuple[int, int]
    stretch_frames: int
    repeats: int = 1
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"

    @property
    def frames(self) -> int:
        """Frames of the whole clip."""
        return self.stretch_frames * self.repeats

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last one."""
        return self.frames / RATE


_HD = (1280, 720)
_FULL_HD = (1920, 1080)
_STRETCH = 2000  # 66.7 s: nine make ten minutes
_GOP_250 = {"preset": "veryfast", "b": "5000000", "g": "250", "bf": "3"}
_GOP_30 = {**_GOP_250, "g": "30"}
_OPEN_GOP = {**_GOP_250, "g": "60", "x264-params": "open-gop=1"}
_NO_B_FRAMES = {**_GOP_250, "bf": "0"}
_HEVC = {"preset": "ultrafast", "b": "2000000", "x265-params": "log-level=none:bframes=3:keyint=250"}
_AV1 = {"preset": "11", "b": "2000000", "svtav1-params": "keyint=240"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "b": "2000000", "g": "128"}

CLIPS = {
    clip.name: clip
    for clip in [
        ClipSpec("1080p_gop250_1min.mp4", _FULL_HD, _STRETCH, 1, options=_GOP_250),
        ClipSpec("1080p_gop250_10min.mp4", _FULL_HD, _STRETCH, 9, options=_GOP_250),
        ClipSpec("1080p_gop250_30min.mp4", _FULL_HD, _STRETCH, 27, options=_GOP_250),
        ClipSpec("1080p_gop30_10min.mp4", _FULL_HD, _STRETCH, 9, options=_GOP_30),
        ClipSpec("1080p_open_gop60_10min.mp4", _FULL_HD, _STRETCH, 9, options=_OPEN_GOP),
        ClipSpec("1080p_no_b_gop250_10min.mp4", _FULL_HD, _STRETCH, 9, options=_NO_B_FRAMES),
        ClipSpec("720p_h264_1min.mp4", _HD, 600, 3, options={**_GOP_250, "b": "2500000"}),
        ClipSpec("720p_hevc_1min.mp4", _HD, 600, 3, "libx265", _HEVC),
        ClipSpec("720p_vp9_1min.webm", _HD, 600, 3, "libvpx-vp9", _VP9),
        ClipSpec("720p_av1_1min.mp4", _HD, 600, 3, "libsvtav1", _AV1),
        ClipSpec("720p_mjpeg_1min.avi", _HD, 600, 3, "mjpeg", {"b": "30000000"}, "yuvj420p"),
    ]
}


def make_clip(spec: ClipSpec, folder: Path) -> Path:
    """The clip's path, made first where the folder does not hold it yet."""
    path = folder / spec.name
    if path.exists():
        return path
    stretch = folder / "stretches" / f"{_stretch_key(spec)}{path.suffix}"
    stretch.parent.mkdir(parents=True, exist_ok=True)
    if not stretch.exists():
        part = stretch.with_name(f"part.{stretch.name}")
        _encode(spec, part)
        part.replace(stretch)
    part = path.with_name(f"part.{path.name}")
    _repeat(stretch, part, spec)
    return part.replace(path)


def number_at(spec: ClipSpec, timestamp_s: float) -> int:
    """The number that the frame shown at this time carries: frames are numbered from 0 in every stretch."""
    return round(timestamp_s * RATE) % spec.stretch_frames


def read_number(pixels: NDArray[np.uint8]) -> int:
    """The burned number of a frame.

    Args:
        pixels: RGB, (height, width, 3), or luma, (height, width).

    Raises:
        ValueError: A block is neither black nor white.
    """
    number = 0
    for bit in range(_NUMBER_BITS):
        level = float(pixels[4 : _BLOCK_PX - 4, bit * _BLOCK_PX + 4 : (bit + 1) * _BLOCK_PX - 4].mean())
        if 80 < level < 176:
            raise ValueError(f"bit {bit} of the frame's number is grey: {level:.0f}")
        number = number << 1 | (level > 128)
    return number


def _stretch_key(spec: ClipSpec) -> str:
    options = "_".join(f"{key}-{value}" for key, value in sorted(spec.options.items()))
    text = f"{spec.codec}_{spec.size[0]}x{spec.size[1]}_{spec.stretch_frames}_{options}"
    return re.sub(r"[^\w-]", "-", text)


def _encode(spec: ClipSpec, path: Path) -> None:
    with kept_scheduling(), av.open(str(path), "w") as container:
        stream = container.add_stream(spec.codec, rate=RATE, options=spec.options)
        stream.width, stream.height = spec.size
        stream.pix_fmt = spec.pix_fmt
        time_base = Fraction(1, RATE)
        stream.codec_context.time_base = time_base
        # PyAV's default cuts each H.264 frame into a slice per core, which few real files have.
        stream.codec_context.thread_type = "FRAME"
        for number, planes in enumerate(_pictures(spec)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p").reformat(format=spec.pix_fmt)
            frame.time_base, frame.pts = time_base, number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _repeat(stretch: Path, path: Path, spec: ClipSpec) -> None:
    """Writes the packets of the stretch again and again, each time later by the stretch's duration."""
    with av.open(str(path), "w") as target:
        copied: av.VideoStream | None = None
        for turn in range(spec.repeats):
            with av.open(str(stretch)) as source:
                video = source.streams.video[0]
                if copied is None:
                    copied = target.add_stream_from_template(video, opaque=True)
                offset = round(turn * spec.stretch_frames / RATE / video.time_base)
                for packet in source.demux(video):
                    if packet.size:
                        packet.pts = None if packet.pts is None else packet.pts + offset
                        packet.dts = None if packet.dts is None else packet.dts + offset
                        packet.stream = copied
                        target.mux(packet)


def _pictures(spec: ClipSpec) -> Iterator[NDArray[np.uint8]]:
    """Frames as yuv420p planes, (height * 3 / 2, width) uint8: a pan, things that move over it, grain, a number."""
    width, height = spec.size
    rng = np.random.default_rng(7)
    scene = _smooth_noise(rng, (height + 512, width + 512))
    thing = _smooth_noise(rng, (height // 3, height // 3))
    grain = rng.normal(0, 2.5, (height + _GRAIN_PX, width + _GRAIN_PX)).astype(np.int8)
    picture = np.empty((height * 3 // 2, width), np.uint8)
    for number in range(spec.stretch_frames):
        left, top = _bounce(number * 3, 512), _bounce(number * 2, 512)
        luma = scene[top : top + height, left : left + width].copy()
        x, y = _bounce(number * 11, width - thing.shape[1]), _bounce(number * 7, height - thing.shape[0])
        luma[y : y + thing.shape[0], x : x + thing.shape[1]] = thing
        down, right = (number * 211) % _GRAIN_PX, (number * 307) % _GRAIN_PX
        luma += grain[down : down + height, right : right + width]
        picture[:height] = luma
        picture[height:] = 110 + number % 32
        _burn_number(picture, number)
        yield picture


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int16]:
    """Texture with detail at several scales, 40 to 215."""
    total = np.zeros(shape)
    for scale in (4, 16, 64, 256):
        coarse = rng.normal(0, scale**0.5, (shape[0] // scale + 2, shape[1] // scale + 2))
        total += np.kron(coarse, np.ones((scale, scale)))[: shape[0], : shape[1]]
    low, high = np.percentile(total, [1, 99])
    levels: NDArray[np.float64] = np.clip((total - low) / (high - low) * 175 + 40, 40, 215)
    return levels.astype(np.int16)


def _bounce(position: int, limit: int) -> int:
    return limit - abs(position % (2 * limit) - limit)


def _burn_number(picture: NDArray[np.uint8], number: int) -> None:
    for bit in range(_NUMBER_BITS):
        white = number >> (_NUMBER_BITS - 1 - bit) & 1
        picture[:_BLOCK_PX, bit * _BLOCK_PX : (bit + 1) * _BLOCK_PX] = 16 + 219 * white
