import numpy as np
import pytest

from assets import FACE_MODELS, fetch_assets
from preprocessing import Box, Preparer, PreprocessParams, ResizeSpec
from preprocessing.face_detection import Face
from tests.media import encode_image, photo_pixels
from training.data.faces import CutParams, cut_face, decode_frame, picture_hash, serving_view, wide_crop
from training.data.split import copies

MODELS_DIR = next(iter(fetch_assets(FACE_MODELS).values())).parent


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.4])
@pytest.mark.parametrize("photo", ["astronaut.png", "coffee.png"])
@pytest.mark.parametrize("enlarged", [1, 3])
def test_the_served_crop_is_what_serving_computes(photo: str, factor: float, enlarged: int) -> None:
    """With and without a face, whether or not the wide crop is reduced."""
    pixels = np.kron(photo_pixels(photo), np.ones((enlarged, enlarged, 1), np.uint8))
    encoded = encode_image(pixels, "PNG", compress_level=0)
    resize = ResizeSpec(64)
    preparer = Preparer(PreprocessParams(resize=resize, crop_factor=factor), MODELS_DIR)
    prepared = preparer.prepare(encoded)
    preparer.close()
    cut = cut_face(decode_frame(encoded), (prepared.faces or (None,))[0], CutParams(factor, resize, 1))
    assert np.array_equal(cut.served, prepared.pixels)
    assert (not prepared.faces) == (photo == "coffee.png")
    assert max(cut.wide.shape) <= 512


@pytest.mark.parametrize("seed", range(40))
def test_a_crop_of_the_wide_crop_is_a_crop_of_the_image(seed: int) -> None:
    """Anywhere in the image: boxes at its edges, larger than a side, with halves of pixels."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(20, 120, 2))
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    corners = rng.uniform(-20, 60, 4).round(1) * [1, 2, 1, 2]
    box = Box(min(corners[:2]), min(corners[2:]), max(corners[:2]) + 2, max(corners[2:]) + 2).clipped(width, height)
    if box.area == 0:
        box = Box(0, 0, 3, 5)
    resize = ResizeSpec(16)
    direct, _ = wide_crop(pixels, Face(box, 1.0), 1.3)
    expected = serving_view(direct, Box(0, 0, direct.shape[1], direct.shape[0]), 1.3, resize)
    wide, wide_box = wide_crop(pixels, Face(box, 1.0), 2.0)
    assert np.array_equal(serving_view(wide, wide_box, 1.3, resize), expected)


def test_a_reduced_wide_crop_keeps_the_box_on_the_face() -> None:
    pixels = np.zeros((1600, 1600, 3), np.uint8)
    pixels[600:1000, 700:1100] = 255
    cut = cut_face(pixels, Face(Box(700, 600, 1100, 1000), 1.0), CutParams(1.3, ResizeSpec(64), 1))
    box = cut.box
    assert cut.wide.shape == (512, 512, 3)
    assert cut.wide[round(box.y0) + 2 : round(box.y1) - 2, round(box.x0) + 2 : round(box.x1) - 2].min() > 250
    assert cut.wide[: round(box.y0) - 2].max() < 5


def test_copies_of_a_picture_have_one_hash_and_others_do_not() -> None:
    astronaut = photo_pixels("astronaut.png")
    saved_again = decode_frame(encode_image(astronaut, "JPEG", quality=60))
    assert picture_hash(astronaut) == picture_hash(saved_again) != picture_hash(photo_pixels("coffee.png"))
    assert len(picture_hash(astronaut)) == 16


def test_copies_are_found_whatever_their_place() -> None:
    photos = [photo_pixels(name) for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")]
    hashes = [picture_hash(photo) for photo in photos]
    again = [picture_hash(decode_frame(encode_image(photo, "JPEG", quality=50))) for photo in photos]
    assert {tuple(sorted(pair)) for pair in copies([*hashes, "", *again, ""])} == {(n, n + 5) for n in range(4)}
    rng = np.random.default_rng(0)
    many = [f"{value:016x}" for value in rng.integers(0, 2**63, 600)]
    flipped = f"{int(many[7], 16) ^ 0b101:016x}"
    assert list(copies([*many, flipped, many[3]])) == [(3, 601), (7, 600)]
    assert list(copies([f"{0:016x}", f"{0b111:016x}"])) == []


def test_a_black_frame_has_no_hash() -> None:
    assert picture_hash(np.zeros((64, 64, 3), np.uint8)) == ""
