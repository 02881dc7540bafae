import io

import numpy as np
from PIL import Image

from deepfake_client.analysis.scenes import SKETCH_BYTES, number_scenes, sketch, sketch_of_file
from tests.media import encode_image, photo_pixels


def test_a_sketch_is_the_picture_in_64_pixels() -> None:
    pixels = photo_pixels("astronaut.png")
    small = np.frombuffer(sketch(pixels), np.uint8).reshape(8, 8, 3).astype(int)
    exact = pixels.reshape(8, 64, 8, 64, 3).mean(axis=(1, 3))
    assert np.abs(small - exact).max() < 25
    assert len(sketch(pixels[:1, :2])) == len(sketch(pixels[:, ::-1])) == SKETCH_BYTES
    large = np.repeat(np.repeat(pixels, 4, axis=0), 4, axis=1)
    assert np.abs(np.frombuffer(sketch(large), np.uint8).reshape(8, 8, 3) - exact).max() < 25


def test_a_file_gives_the_same_sketch() -> None:
    pixels = photo_pixels("astronaut.png")
    from_pixels = np.frombuffer(sketch(pixels), np.uint8).astype(int)
    for encoded in (encode_image(pixels, "PNG"), encode_image(pixels, "JPEG"), encode_image(pixels, "JPEG")[:-2]):
        assert np.abs(np.frombuffer(sketch_of_file(encoded), np.uint8) - from_pixels).max() < 25
    turned = Image.Exif()
    turned[0x0112] = 3
    buffer = io.BytesIO()
    Image.fromarray(pixels[::-1, ::-1]).save(buffer, "JPEG", exif=turned)
    assert np.abs(np.frombuffer(sketch_of_file(buffer.getvalue()), np.uint8) - from_pixels).max() < 25


def test_scenes_change_at_cuts_and_come_back() -> None:
    first, second = photo_pixels("astronaut.png")[:300], photo_pixels("coffee.png")
    pan = [sketch(first[:, 10 * i : 10 * i + 400]) for i in range(6)]
    darker = sketch((first[:, 50:450] * 0.85).astype(np.uint8))
    other = sketch(second)
    assert number_scenes([*pan, darker]) == [0] * 7
    assert number_scenes([pan[0], other, other, pan[1], other]) == [0, 1, 1, 0, 1]
    assert number_scenes([b"", pan[0], b"", other, b""]) == [0, 0, 0, 1, 1]
    assert number_scenes([b""] * 3) == [0, 0, 0]
    assert number_scenes([]) == []
