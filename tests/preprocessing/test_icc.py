"""Colour profiles: colours become sRGB, as browsers show them; whatever is wrong with a profile costs no image."""

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from assets import FACE_MODELS, fetch_assets
from preprocessing import Box, FaceDetector, FaceFinder, Preparer, PreprocessParams, decode_rgb, icc
from tests.hostile.image_colours import wide_gamut
from tests.media import encode_heic, photo_pixels

# Columns: the primaries of Display P3 in XYZ, adapted to D50 (SMPTE EG 432-1), and those of sRGB (IEC 61966-2-1).
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC")


def srgb_profile() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def display_p3() -> bytes:
    """Its curve is that of sRGB, so that the profile is sRGB's with other primaries."""
    profile = bytearray(srgb_profile())
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        name, at, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            column = DISPLAY_P3[:, b"rgb".index(name[:1])]
            struct.pack_into(">iii", profile, at + 8, *(round(float(value) * 65536) for value in column))
    return bytes(profile)


def grey_profile() -> bytes:
    """A grey scale with a gamma of 1.8."""
    curve, white = b"curv\0\0\0\0\0\0\0\1\1\xcd", b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    body = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 14) + white + curve
    return profile_of(b"mntr", b"GRAY", b"XYZ ", body)


def cmyk_profile() -> bytes:
    """A press whose four inks are all grey (lut8Type, ICC.1, section 10.10)."""
    ramp = bytes(range(256))
    ink = np.array([[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)])
    lightness = 255 * (1 - ink[:, :3].mean(axis=1)) * (1 - ink[:, 3])
    grid = np.stack([lightness, np.full(16, 128), np.full(16, 128)], axis=1).astype(np.uint8).tobytes()
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1\0\0\0\0\4\3\2\0" + identity + 4 * ramp + grid + 3 * ramp
    body = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"A2B0", 176, len(lut))
    body += b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061) + lut
    return profile_of(b"prtr", b"CMYK", b"Lab ", body)


def profile_of(device: bytes, space: bytes, connection: bytes, body: bytes) -> bytes:
    header = struct.pack(">I4sI4s4s4s12s4s28s", 128 + len(body), b"none", 0x02400000, device, space, connection,
                         bytes(12), b"acsp", bytes(28))  # fmt: skip
    return (header + struct.pack(">iii", 63190, 65536, 54061)).ljust(128, b"\0") + body


def as_srgb(pixels: np.ndarray) -> np.ndarray:
    """Display P3 by the formulas."""
    v = pixels / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    out = np.clip(linear @ (np.linalg.inv(SRGB) @ DISPLAY_P3).T, 0, 1)
    return 255 * np.where(out <= 0.0031308, out * 12.92, 1.055 * out ** (1 / 2.4) - 0.055)


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    if format_ == "HEIC":
        image.info["icc_profile"] = options["icc_profile"]
        return encode_heic(image, quality=-1, chroma=444)
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def decode(encoded: bytes) -> np.ndarray:
    return decode_rgb(encoded, max_bytes=10**8, max_pixels=10**8)


def photograph() -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(photo_pixels("astronaut.png")[:160, 100:300]))


@pytest.mark.parametrize("format_", FORMATS)
def test_display_p3_becomes_srgb(format_: str) -> None:
    image = photograph()
    plain, p3 = (decode(saved(image, format_, icc_profile=profile)) for profile in (srgb_profile(), display_p3()))
    assert np.abs(p3.astype(int) - plain).mean() > 1
    assert np.abs(p3 - as_srgb(plain)).max() <= 2


def test_what_is_transparent_has_the_profile_s_colours_on_white() -> None:
    image = photograph().convert("RGBA")
    image.putalpha(128)
    shown = decode(saved(image, "PNG", icc_profile=display_p3()))
    expected = as_srgb(np.asarray(photograph())) * 128 / 255 + 127
    assert np.abs(shown - expected).max() <= 2


@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_grey_profiles(format_: str) -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    shown = decode(saved(ramp, format_, icc_profile=grey_profile(), quality=100))[..., 1].reshape(-1)
    linear = (np.arange(256) / 255) ** 1.8
    expected = 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(shown - expected).max() <= 3


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk_profiles(format_: str) -> None:
    image = Image.new("CMYK", (64, 600), (255, 0, 0, 0))
    options = {"quality": 100} if format_ == "JPEG" else {}
    assert tuple(decode(saved(image, format_, **options))[300, 30]) == (0, 255, 255)
    shown = decode(saved(image, format_, icc_profile=cmyk_profile(), **options))
    assert shown.shape == (600, 64, 3)
    assert np.ptp(shown, axis=2).max() <= 3
    assert abs(int(shown[300, 30, 1]) - 162) <= 4  # L* of 66.7


def test_a_profile_for_other_images_is_ignored() -> None:
    for mode, profile in (("RGB", grey_profile()), ("CMYK", display_p3())):
        image = photograph().convert(mode)
        np.testing.assert_array_equal(decode(saved(image, "TIFF", icc_profile=profile)), decode(saved(image, "TIFF")))


def test_srgb_by_any_name_costs_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = srgb_profile().replace("sRGB".encode("utf-16-be"), "acme".encode("utf-16-be"))
    for profile in (srgb_profile(), renamed):
        image = photograph()
        image.info["icc_profile"] = profile
        assert icc.to_srgb(image) is None
    lies = display_p3()  # it says that it is sRGB
    image.info["icc_profile"] = lies
    assert icc.to_srgb(image) is not None


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"text",
        b"\xff" * 300,
        display_p3()[:200],
        display_p3()[:12] + b"link" + display_p3()[16:],
        display_p3()[:16] + b"Lab " + display_p3()[20:],
        display_p3() + bytes(icc.MAX_PROFILE_BYTES),
        display_p3().replace(b"para", b"mpet"),
        display_p3()[:128] + b"\xff\xff\xff\xff" + display_p3()[132:],
    ],
)
def test_a_damaged_or_strange_profile_is_ignored(profile: bytes) -> None:
    started = time.process_time()
    image = photograph()
    np.testing.assert_array_equal(decode(saved(image, "TIFF", icc_profile=profile)), np.asarray(image))
    assert time.process_time() - started < 1


def test_a_release_can_have_the_pipelines_pixels() -> None:
    encoded = saved(photograph(), "PNG", icc_profile=display_p3())
    shown, plain = (
        Preparer(PreprocessParams(face_detection=False, pipeline_pixels=pipeline), Path()).crop(encoded)[0]
        for pipeline in (False, True)
    )
    np.testing.assert_array_equal(plain, np.asarray(photograph()))
    np.testing.assert_array_equal(shown, decode(encoded))


def test_the_client_s_copy_is_the_same() -> None:
    copy = Path(__file__).parents[2] / "client" / "deepfake_client" / "formats" / "icc.py"
    assert copy.read_bytes() == Path(str(icc.__file__)).read_bytes()


def test_wide_gamut_is_clipped_not_wrapped() -> None:
    pixels = decode(saved(Image.new("RGB", (8, 8), (0, 255, 0)), "PNG", icc_profile=wide_gamut()))
    assert (pixels[0, 0] == (0, 255, 0)).all()


@pytest.fixture(scope="module")
def models_dir() -> Path:
    return next(iter(fetch_assets(FACE_MODELS).values())).parent


def as_a_phone_stores_it(width: int, orientation: int, profile: bytes, name: str = "astronaut.png") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(photo_pixels(name)).resize((width, width * 3 // 4 + 1))
    return saved(picture.convert("L") if profile == grey_profile() else picture, "JPEG", icc_profile=profile, exif=exif)


@pytest.mark.parametrize("detector", FaceDetector)
@pytest.mark.parametrize(
    ("encoded", "face_box", "share"),
    [
        (as_a_phone_stores_it(1601, 1, display_p3()), None, 0.45),
        (as_a_phone_stores_it(1600, 3, display_p3()), None, 1.2),  # without a face that stands upright
        (as_a_phone_stores_it(1203, 1, wide_gamut()), None, 0.45),
        (as_a_phone_stores_it(801, 1, grey_profile()), None, 0.8),
        (as_a_phone_stores_it(801, 6, display_p3()), Box(100, 200, 300, 350), 0.2),
        (as_a_phone_stores_it(801, 1, display_p3(), "coffee.png"), None, 2),
    ],
)
def test_only_what_is_looked_at_is_converted_and_nothing_changes(
    encoded: bytes, face_box: Box | None, share: float, detector: FaceDetector, models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    preparer = Preparer(PreprocessParams(face_detector=detector), models_dir)
    whole = decode(encoded)
    expected = preparer.prepare(saved(Image.fromarray(whole), "PNG"), face_box)
    converted = []
    convert = icc.ToSrgb.convert_pixels

    def counted(self: icc.ToSrgb, pixels: np.ndarray) -> None:
        converted.append(pixels.size)
        convert(self, pixels)

    monkeypatch.setattr(icc.ToSrgb, "convert_pixels", counted)
    prepared = preparer.prepare(encoded, face_box)
    preparer.close()
    assert prepared.faces == expected.faces
    np.testing.assert_array_equal(prepared.pixels, expected.pixels)
    if detector is FaceDetector.DIRECT:
        assert 0 < sum(converted) < share * whole.size


def test_faces_are_those_of_the_converted_picture_whatever_its_size(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = icc.ToSrgb(wide_gamut(), "RGB")
    finder = FaceFinder(models_dir)
    random = np.random.default_rng(5)
    found = 0
    for width, height in [(16, 900), (129, 127), (192, 385), *random.integers(200, 1500, (40, 2))]:
        picture = Image.fromarray(photo_pixels("astronaut.png")[:400]).resize((int(width), int(height)))
        pixels = np.asarray(picture) ^ random.integers(0, 32, (height, width, 3), np.uint8)
        for model in finder._models:
            faces = model.faces(profile.converted(pixels))
            assert model.faces(pixels, profile) == faces
            found += len(faces)
    assert found > 40
    monkeypatch.setattr("preprocessing.face_detection.finder._MAX_SIDE_PX", 700)  # larger ones are reduced
    assert finder.faces(pixels, profile) == finder.faces(profile.converted(pixels)) != []
