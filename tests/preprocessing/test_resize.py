import numpy as np
import pytest

from preprocessing import ResizeMode, ResizeSpec, resize_to_square
from tests.media import photo_pixels

transformers = pytest.importorskip("transformers", reason="the checkpoints' own processors are the reference")

IMAGES = {
    "square": lambda: photo_pixels("astronaut.png"),
    "wide": lambda: photo_pixels("coffee.png"),
    "high": lambda: np.ascontiguousarray(photo_pixels("rocket.jpg").transpose(1, 0, 2)),
    "odd": lambda: np.ascontiguousarray(photo_pixels("chelsea.png")[:211, :333]),
    "smaller": lambda: np.ascontiguousarray(photo_pixels("chelsea.png")[100:171, 100:193]),
    "one pixel": lambda: np.ascontiguousarray(photo_pixels("chelsea.png")[:1, :1]),
}


def of_processor(processor: object, pixels: np.ndarray) -> np.ndarray:
    """A processor's pixels before it scales and normalises them."""
    steps = {"do_rescale": False, "do_normalize": False}
    batch = processor(pixels, **steps, return_tensors="np", input_data_format="channels_last")
    return batch["pixel_values"][0].transpose(1, 2, 0)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("size_px", [224, 384])
@pytest.mark.parametrize("name", ["SiglipImageProcessor", "ViTImageProcessor"])
def test_exact_resize_equals_the_processors(name: str, size_px: int, resample: int, image: str) -> None:
    processor = getattr(transformers, name)(size={"height": size_px, "width": size_px}, resample=resample)
    pixels = IMAGES[image]()
    resized = resize_to_square(pixels, ResizeSpec(size_px, resample))
    assert resized.shape == (size_px, size_px, 3)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, of_processor(processor, pixels))


@pytest.mark.parametrize("image", [name for name in IMAGES if name != "one pixel"])
@pytest.mark.parametrize(("edge_px", "size_px"), [(224, 224), (256, 224), (257, 224)])
def test_centre_crop_equals_clips_processor(edge_px: int, size_px: int, image: str) -> None:
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": edge_px}, crop_size={"height": size_px, "width": size_px}, resample=3
    )
    pixels = IMAGES[image]()
    spec = ResizeSpec(size_px, 3, ResizeMode.SHORTEST_EDGE_CENTER_CROP, edge_px)
    resized = resize_to_square(pixels, spec)
    assert resized.flags.c_contiguous
    np.testing.assert_array_equal(resized, of_processor(processor, pixels))
