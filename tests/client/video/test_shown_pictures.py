"""Frames are as players show them: their colours, proportions, fields and orientation."""

import io
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from PIL import Image

from deepfake_client.errors import MediaDecodeError
from deepfake_client.media import Frame, identify, open_media
from deepfake_client.video import sample as video_module
from deepfake_client.video.colour import meant_matrix
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.picture import shown_size_px
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from tests.media import MICROSECONDS, photo, pixels_of

_X264 = {"preset": "ultrafast", "crf": "8"}


def sampled(path: Path, count: int = 30) -> list[Frame]:
    with open_media(path) as stream:
        return sample_video(identify(stream, path.name), Sampling(count))


def shown(path: Path, count: int = 30) -> list[np.ndarray]:
    return [pixels_of(frame.encoded) for frame in sampled(path, count)]


def difference(pixels: np.ndarray, expected: np.ndarray) -> float:
    """Mean, in grey levels."""
    assert pixels.shape == expected.shape
    return float(np.abs(pixels.astype(int) - expected).mean())


@cache
def portrait(width: int, height: int, left: int = 0, top: int = 0) -> np.ndarray:
    """A part of the astronaut, smooth as a camera's picture: (height, width, 3) uint8; do not write to it."""
    with Image.open(photo("astronaut.png")) as image:
        part = image.convert("RGB").crop((left, top, left + width * 2, top + height * 2))
        return np.asarray(part.resize((width, height)))


def write(path: Path, codec: str, frames: "Iterable[av.VideoFrame]", pix_fmt: str, **labels: Any) -> Path:
    """Encodes frames at 25 a second; `labels` are attributes of the encoder, `options` among them."""
    with av.open(str(path), "w") as container:
        stream = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
                for name, value in labels.items():
                    setattr(stream.codec_context, name, value)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rgb(pixels: np.ndarray) -> "av.VideoFrame":
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")


# Colours

_BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]  # ITU-R BT.2087
)
_WHITE_NITS = 203  # ITU-R BT.2408


def _pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(nits: np.ndarray) -> np.ndarray:
    """On a display of 1,000 nits, with a system gamma of 1.2."""
    scene = (nits / 1000) ** (1 / 1.2)
    logarithmic = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithmic)


@pytest.mark.parametrize(
    ("transfer", "curve"), [(ColorTrc.SMPTE2084, _pq), (ColorTrc.ARIB_STD_B67, _hlg)], ids=["PQ", "HLG"]
)
@pytest.mark.parametrize("says_all", [True, False])
def test_hdr_is_tone_mapped(
    tmp_path: Path, transfer: ColorTrc, curve: Callable[[np.ndarray], np.ndarray], says_all: bool
) -> None:
    path = write_hdr(tmp_path / "hdr.mkv", transfer, curve, says_all)
    (pixels,) = shown(path)
    assert difference(pixels, portrait(240, 180)) < 4  # of either; 20 and 40 as they are


def write_hdr(
    path: Path, transfer: ColorTrc, curve: Callable[[np.ndarray], np.ndarray] = _pq, says_all: bool = True
) -> Path:
    value = portrait(240, 180) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) @ _BT709_TO_BT2020.T
    signal = curve(np.maximum(light, 0) * _WHITE_NITS)
    wide = av.VideoFrame.from_ndarray((signal.clip(0, 1) * 65535).round().astype(np.uint16), format="rgb48le")
    frame = wide.reformat(format="yuv420p10le", dst_colorspace=Colorspace.BT2020, dst_color_range="MPEG")
    labels = {"colorspace": 9, "color_primaries": ColorPrimaries.BT2020} if says_all else {}
    return write(path, "ffv1", [frame], "yuv420p10le", color_trc=transfer, **labels)


def write_with_matrix(path: Path, matrix: int, primaries: int, meant: Colorspace) -> Path:
    frame = rgb(portrait(160, 120)).reformat(format="yuv420p", dst_colorspace=meant)
    return write(path, "libx264", [frame], "yuv420p", options=_X264, colorspace=matrix, color_primaries=primaries)


@pytest.mark.parametrize(
    ("matrix", "primaries", "meant"),
    [
        *((matrix, 2, Colorspace.ITU601) for matrix in (8, 11, 12, 13, 14, 15, 16)),
        (10, 9, Colorspace.BT2020),
        (12, 1, Colorspace.ITU709),
        (13, 9, Colorspace.BT2020),
        (12, 7, Colorspace.SMPTE240M),
    ],
)
def test_odd_matrix_coefficients_of_ordinary_files(
    tmp_path: Path, matrix: int, primaries: int, meant: Colorspace
) -> None:
    path = write_with_matrix(tmp_path / "odd.mkv", matrix, primaries, meant)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == matrix
    (pixels,) = shown(path)
    assert difference(pixels, portrait(160, 120)) < 2.5


@pytest.mark.parametrize(
    ("pix_fmt", "labels", "name"),
    [
        ("yuv444p", {"colorspace": 8}, "YCgCo"),
        ("yuv420p10le", {"colorspace": 14, "color_trc": 16, "color_primaries": 9}, "ICtCp"),
    ],
)
def test_other_colour_models_are_refused_in_words(
    tmp_path: Path, pix_fmt: str, labels: dict[str, int], name: str
) -> None:
    path = write(tmp_path / "other.mkv", "ffv1", [rgb(portrait(160, 120)).reformat(format=pix_fmt)], pix_fmt, **labels)
    with pytest.raises(MediaDecodeError, match=rf"other\.mkv: .* stored as {name}, .*; convert it to MP4"):
        sampled(path)


def test_labels_of_frames_without_chroma_do_not_matter() -> None:
    for pix_fmt in ("gbrp", "gray", "pal8"):
        frame = av.VideoFrame(16, 16, pix_fmt)
        frame.colorspace = 8
        assert meant_matrix(frame) == 2


# Proportions


@pytest.mark.parametrize(
    ("aspect", "stored"),
    [(Fraction(64, 45), (168, 180)), (Fraction(45, 64), (240, 128)), (Fraction(200, 199), (240, 180))],
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_pixels_that_are_not_square(tmp_path: Path, aspect: Fraction, stored: tuple[int, int], rotation: int) -> None:
    """What is stretched by under 1% stays as it is; the rotation is that of the stretched picture."""
    whole = portrait(240, 180)
    path = tmp_path / "anamorphic.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=_X264)
        (stream.width, stream.height), stream.pix_fmt = stored, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        stream.set_display_rotation(rotation)
        container.mux(stream.encode(rgb(np.asarray(Image.fromarray(whole).resize(stored)))))
        container.mux(stream.encode(None))
    (pixels,) = shown(path)
    shape = (round(stored[1] / aspect), 240) if aspect < 1 else (180, round(stored[0] * aspect))
    expected = np.asarray(Image.fromarray(whole).resize(shape[::-1] if abs(aspect - 1) > 0.01 else stored))
    assert difference(pixels, np.rot90(expected, rotation // 90)) < 5


def test_what_a_file_says_of_its_pixels_is_bounded() -> None:
    assert shown_size_px(1000, 1000, None) == shown_size_px(1000, 1000, Fraction(11)) == (1000, 1000)
    assert shown_size_px(1000, 900, Fraction(1, 10)) == (1000, 9000)
    with pytest.raises(MediaDecodeError, match="shown as 40000 x 4000, over"):
        shown_size_px(4000, 4000, Fraction(10))


# Fields


def write_interlaced(path: Path, pictures: list[np.ndarray], gop: int) -> Path:
    """Each two pictures are the fields of one frame, the bottom field first."""
    woven = []
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        frame = second.copy()
        frame[1::2] = first[1::2]
        # Without subsampling: the conversion to 4:2:0 would mix the fields' colours.
        woven.append(rgb(frame).reformat(format="yuv444p"))
    options = {"preset": "veryfast", "crf": "4", "g": str(gop), "sc_threshold": "0", "bf": "3"}
    options["x264-params"] = "interlaced=1"
    return write(path, "libx264", woven, "yuv444p", options=options)


def panned(count: int) -> list[np.ndarray]:
    """The upper half stands still, as behind a speaker; the lower half moves by 2 pixels a field."""
    wide, still = portrait(230, 96, top=60), portrait(96, 48, left=20)
    return [np.concatenate([still, wide[48:, 2 * (n % 64) : 2 * (n % 64) + 96]]) for n in range(count)]


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_interlaced(tmp_path_factory.mktemp("interlaced") / "clip.mp4", panned(480), gop=12)


def test_interlaced_frames_have_no_combs(interlaced: Path) -> None:
    frames = sampled(interlaced)
    pictures = panned(480)
    for frame in frames:
        number = round(frame.timestamp_s * 25)
        pixels, right = pixels_of(frame.encoded), pictures[2 * number]
        assert difference(pixels[52:], right[52:]) < 6  # 25 with combs
        assert difference(pixels[:44], right[:44]) < (1.2 if number % 12 else 2.5)  # key frames are seen by themselves


def test_interlaced_frames_are_the_same_wherever_decoding_begins(
    interlaced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = video_module._decode_in_order
    with monkeypatch.context() as patch:
        patch.setattr(video_module, "_decode_in_order", lambda *_: [])
        by_seeking = sampled(interlaced, 14)
    monkeypatch.setattr(video_module, "_decode_groups", lambda *_: [])
    monkeypatch.setattr(video_module, "_decode_in_order", original)
    assert by_seeking == sampled(interlaced, 14)
    assert len(by_seeking) == 14
    assert sum(round(frame.timestamp_s * 25) % 12 == 0 for frame in by_seeking) < 14, "not only key frames"


# Orientation


def write_photos(path: Path, orientation: int) -> Path:
    """Photos with EXIF copied into a video, as a time-lapse: the decoder hands the EXIF data on."""
    turned = {1: 0, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}[orientation]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height = (120, 160) if orientation == 1 else (160, 120)
        stream.pix_fmt = "yuvj420p"
        for number in range(3):
            photo_file = io.BytesIO()
            upright = Image.fromarray(portrait(120, 160))
            exif = Image.Exif()
            exif[0x112] = orientation
            (upright.transpose(turned) if turned else upright).save(photo_file, "JPEG", quality=95, exif=exif)
            packet = av.Packet(photo_file.getvalue())
            packet.pts = packet.dts = number * 1_000_000
            packet.time_base, packet.stream, packet.is_keyframe = MICROSECONDS, stream, True
            container.mux(packet)
    return path


@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_side_data_of_a_kind_that_pyav_does_not_know(tmp_path: Path, orientation: int) -> None:
    frames = shown(write_photos(tmp_path / "photos.mov", orientation))
    assert len(frames) == 3
    for pixels in frames:
        assert difference(pixels, portrait(120, 160)) < 4


def write_with_orientation_in_the_stream(path: Path, frames: int, gop: int) -> Path:
    """Key frames alone carry the message (SEI 47, "display orientation") that says how to turn the picture."""
    options = {**_X264, "g": str(gop), "sc_threshold": "0"}
    plain = path.with_name(f"plain.{path.name}")
    write(plain, "libx264", [rgb(np.rot90(portrait(120, 160)))] * frames, "yuv420p", options=options)
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.size:
                message = b"\0\0\0\x07" + bytes.fromhex("062f0318000980") if packet.is_keyframe else b""
                changed = av.Packet(message + bytes(packet))
                changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
                changed.duration, changed.stream, changed.is_keyframe = packet.duration, stream, packet.is_keyframe
                target.mux(changed)
    return path


@pytest.mark.parametrize("count", [4, 36])
def test_an_orientation_that_key_frames_bring_holds_for_those_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Where frames are reached by a seek, and where all are decoded."""
    if count == 4:
        monkeypatch.setattr(video_module, "_decode_in_order", lambda *_: [])
    path = write_with_orientation_in_the_stream(tmp_path / "message.mp4", 36, 12)
    with av.open(str(path)) as container:
        assert [frame.rotation != 0 for frame in container.decode(video=0)] == [n % 12 == 0 for n in range(36)]
    frames = shown(path, count)
    assert len(frames) == count
    for pixels in frames:
        assert difference(pixels, portrait(120, 160)) < 5


def test_all_of_it_works_where_no_file_can_be_opened(tmp_path: Path, interlaced: Path) -> None:
    decoder = IsolatedDecoder()
    for path in (
        interlaced,
        write_photos(tmp_path / "photos.mov", 6),
        write_hdr(tmp_path / "hlg.mkv", ColorTrc.ARIB_STD_B67, _hlg),
        write_with_matrix(tmp_path / "odd.mkv", 12, 1, Colorspace.ITU709),
    ):
        with open_media(path) as stream:
            assert decoder.sample_video(identify(stream, path.name)) == sampled(path)
    decoder.close()
