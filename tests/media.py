"""Makes real media for tests: photographs that move, each frame carrying its own number as black and white blocks.

The number survives lossy coding, so a test can prove which frame was decoded and not merely that one was.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from PIL import Image

from assets import SAMPLE_PHOTOS, fetch_assets
from tests.scheduling import kept_scheduling

NUMBER_BITS = 16
BLOCK_PX = 16
"""Sixteen blocks of 16 px: the number takes 256 x 16 px at the top left, so frames are at least 256 px wide."""

MICROSECONDS = Fraction(1, 1_000_000)


@cache
def photo(name: str) -> Path:
    """A sample photo by file name, fetched once and cached."""
    return fetch_assets([asset for asset in SAMPLE_PHOTOS if asset.name == name])[name]


@cache
def photo_pixels(name: str) -> np.ndarray:
    """A sample photo as (H, W, 3) uint8 RGB; do not write to it."""
    with Image.open(photo(name)) as image:
        return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class VideoSpec:
    """A video to make.

    Attributes:
        frames: How many.
        codec: FFmpeg encoder.
        size: Width and height as displayed, before the file's own rotation is undone.
        rate: Frames per second; also the spacing unless `times_s` is given.
        options: Encoder options.
        pix_fmt: Encoder pixel format.
        rotation: Counterclockwise degrees that a player must turn the stored frames by; a multiple of 90.
        times_s: Presentation time of each frame, for a variable frame rate.
        container_options: Muxer options.
    """

    frames: int
    codec: str = "libx264"
    size: tuple[int, int] = (320, 240)
    rate: int = 25
    options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    rotation: int = 0
    times_s: Sequence[float] | None = None
    container_options: dict[str, str] = field(default_factory=dict)


H264_LONG_GOP = {"preset": "veryfast", "g": "250", "keyint_min": "250", "sc_threshold": "0", "bf": "3"}
H264_SHORT_GOP = {"preset": "veryfast", "g": "12", "sc_threshold": "0", "bf": "2"}


def write_video(path: Path, spec: VideoSpec) -> Path:
    """Encodes the numbered frames; the container follows the file's suffix."""
    width, height = spec.size
    with kept_scheduling(), av.open(str(path), "w", options=spec.container_options) as container:
        stream = container.add_stream(spec.codec, rate=spec.rate, options=spec.options)
        turned = spec.rotation % 180 != 0
        stream.width, stream.height = (height, width) if turned else (width, height)
        stream.pix_fmt = spec.pix_fmt
        time_base = Fraction(1, spec.rate) if spec.times_s is None else Fraction(1, 1000)
        stream.codec_context.time_base = time_base
        if spec.rotation:
            stream.set_display_rotation(spec.rotation)
        for number, pixels in enumerate(numbered_frames(spec.frames, width, height)):
            stored = np.ascontiguousarray(np.rot90(pixels, -spec.rotation // 90))
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            frame.time_base = time_base
            frame.pts = number if spec.times_s is None else round(spec.times_s[number] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_long_video(path: Path, spec: VideoSpec, repeats: int) -> Path:
    """Encodes the frames of `spec` once and writes their packets `repeats` times, each time later by their duration.

    For a decoder each repeat is as much work as the first, and a long video is made in a short time.
    """
    once = write_video(path.with_name(f"once.{path.name}"), spec)
    with av.open(str(path), "w") as target:
        copied: av.VideoStream | None = None
        for turn in range(repeats):
            with av.open(str(once)) as source:
                video = source.streams.video[0]
                copied = copied or target.add_stream_from_template(video, opaque=True)
                offset = round(turn * spec.frames / spec.rate / video.time_base)
                for packet in source.demux(video):
                    if packet.size:
                        packet.pts = None if packet.pts is None else packet.pts + offset
                        packet.dts = None if packet.dts is None else packet.dts + offset
                        packet.stream = copied
                        target.mux(packet)
    once.unlink()
    return path


def numbered_frames(count: int, width: int, height: int) -> Iterator[np.ndarray]:
    """A slow pan over the astronaut, each frame (height, width, 3) uint8 RGB with its number burned in."""
    with Image.open(photo("astronaut.png")) as image:
        wide = np.asarray(image.convert("RGB").resize((width + 64, height + 64)))
    for number in range(count):
        left, top = (abs(number * step % 128 - 64) for step in (1, 2))
        yield burn_number(wide[top : top + height, left : left + width].copy(), number)


def burn_number(pixels: np.ndarray, number: int) -> np.ndarray:
    """Writes the number into the top left corner, most significant bit first."""
    for bit in range(NUMBER_BITS):
        white = number >> (NUMBER_BITS - 1 - bit) & 1
        pixels[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 255 * white
    return pixels


def read_number(pixels: np.ndarray) -> int:
    """The burned number of an upright frame; raises ValueError where a block is neither black nor white."""
    number = 0
    for bit in range(NUMBER_BITS):
        centre = pixels[4 : BLOCK_PX - 4, bit * BLOCK_PX + 4 : (bit + 1) * BLOCK_PX - 4]
        level = float(centre.mean())
        if 80 < level < 176:
            raise ValueError(f"bit {bit} is grey: {level:.0f}")
        number = number << 1 | (level > 128)
    return number


def pixels_of(encoded: bytes) -> np.ndarray:
    """An encoded image as (H, W, 3) uint8 RGB."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


def on_white(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB: what viewers show of an image on a white page."""
    rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def write_pictures_without_a_face(folder: Path) -> list[Path]:
    """A cat, a cup of coffee, and a portrait 64 px wide, whose face is too small for most."""
    portrait = photo_pixels("astronaut.png")[:400, 50:450]
    small = np.asarray(Image.fromarray(portrait).resize((64, 64), Image.Resampling.LANCZOS))
    pictures = {"cat.png": photo_pixels("chelsea.png"), "cup.png": photo_pixels("coffee.png"), "portrait.png": small}
    for name, pixels in pictures.items():
        (folder / name).write_bytes(encode_image(pixels, "PNG"))
    return [folder / name for name in pictures]


def encode_image(pixels: np.ndarray, format_: str, **options: object) -> bytes:
    """Pixels as the bytes of an image file of Pillow's format name."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=format_, **options)
    return buffer.getvalue()


def encode_heic(image: Image.Image, **options: object) -> bytes:
    """A picture as the bytes of a HEIC file, in a grid with `tile_size`."""
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


def add_sound(container: "av.container.OutputContainer") -> None:
    """Adds half a second of silence as an AAC stream."""
    stream = container.add_stream("aac", rate=44100)
    stream.layout = "mono"
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 44100
    for number in range(20):
        frame.pts = number * 1024
        frame.time_base = Fraction(1, 44100)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
