import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from preprocessing.orientation import read_orientation, upright
from tests.media import encode_image, photo_pixels


def with_orientation(value: object) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = value
    return Image.open(io.BytesIO(encode_image(photo_pixels("coffee.png")[:9, :14].copy(), "JPEG", exif=exif)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 40_000), (40_000, 1), (211, 333)])
def test_turns_equal_pillows(orientation: int, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    turned = upright(pixels, orientation)
    assert turned.flags.c_contiguous
    assert turned.dtype == np.uint8
    np.testing.assert_array_equal(turned, np.asarray(ImageOps.exif_transpose(image)))


def test_upright_pixels_are_not_copied() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert upright(pixels, 1) is pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reading(orientation: int) -> None:
    with with_orientation(orientation) as image:
        assert read_orientation(image) == orientation


@pytest.mark.parametrize("value", [0, 9, 99, 65535])
def test_values_that_mean_nothing(value: int) -> None:
    with with_orientation(value) as image:
        assert read_orientation(image) == 1


def test_an_image_without_exif_is_upright() -> None:
    assert read_orientation(Image.new("RGB", (2, 2))) == 1


def test_orientation_in_xmp_counts_as_it_does_for_pillow() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    encoded = encode_image(photo_pixels("coffee.png")[:9, :14].copy(), "JPEG", xmp=xmp)
    with Image.open(io.BytesIO(encoded)) as image:
        assert ImageOps.exif_transpose(image).size == (9, 14)
        assert read_orientation(image) == 6
