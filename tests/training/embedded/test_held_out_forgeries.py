import numpy as np

from preprocessing import Box
from training.data.faces import FaceImage
from training.embedded.pictures import gradient_blend, inpaint_face, swap_face


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int)).max(axis=2)


def test_a_swap_brings_another_face_and_leaves_the_surroundings(face: FaceImage, donor: FaceImage) -> None:
    forgery = swap_face(face, donor, np.random.default_rng(0))
    assert forgery.method == "swap"
    changed = difference(forgery.pixels, face.pixels)
    assert changed[forgery.mask == 1].mean() > 3
    rows, columns = np.nonzero(forgery.mask)
    around = np.ones_like(forgery.mask, bool)
    around[rows.min() - 2 : rows.max() + 3, columns.min() - 2 : columns.max() + 3] = False
    assert changed[around].max() == 0  # OpenCV solves for the mask's rectangle and changes a little of that, too
    assert changed[forgery.mask == 0].mean() < 0.2


def test_a_swap_puts_box_on_box(face: FaceImage) -> None:
    pixels = np.full((200, 200, 3), 128, np.uint8)
    pixels[40:100, 60:100] = np.random.default_rng(0).integers(0, 256, (60, 40, 3))
    donor = FaceImage(pixels, Box(60, 40, 100, 100), "textured", "")
    forgery = swap_face(face, donor, np.random.default_rng(0))
    box = face.box
    inside = forgery.pixels[int(box.y0) + 40 : int(box.y1) - 40, int(box.x0) + 35 : int(box.x1) - 35]
    assert inside.std() > 20


def test_a_swap_takes_the_colour_of_its_target(face: FaceImage, donor: FaceImage) -> None:
    forgery = swap_face(face, donor, np.random.default_rng(0))
    inside = forgery.mask == 1
    assert np.abs(forgery.pixels[inside].mean(axis=0) - face.pixels[inside].mean(axis=0)).max() < 15


def test_inpainting_removes_a_part_of_the_face(face: FaceImage) -> None:
    forgery = inpaint_face(face, np.random.default_rng(0))
    assert forgery.method == "inpainting"
    changed = difference(forgery.pixels, face.pixels)
    assert changed[forgery.mask > 0.9].mean() > 3
    assert changed[forgery.mask == 0].max() == 0
    assert 0.005 < (forgery.mask > 0.5).mean() < 0.2


def plain(value: int) -> np.ndarray:
    return np.full((96, 96, 3), value, np.uint8)


def test_a_gradient_blend_takes_the_colour_of_its_surroundings_and_keeps_detail() -> None:
    rng = np.random.default_rng(0)
    texture = np.repeat(rng.integers(180, 220, (96, 96, 1)), 3, axis=2).astype(np.uint8)
    mask = np.zeros((96, 96), np.float32)
    mask[30:66, 30:66] = 1
    inside = gradient_blend(texture, plain(60), mask)[35:61, 35:61, 0].astype(int)
    assert abs(inside.mean() - 60) < 12
    assert inside.std() > 5


def test_a_gradient_blend_of_nothing_is_the_background() -> None:
    assert np.array_equal(gradient_blend(plain(9), plain(7), np.zeros((96, 96), np.float32)), plain(7))


def test_a_gradient_blend_may_touch_the_rim() -> None:
    assert gradient_blend(plain(90), plain(70), np.ones((96, 96), np.float32)).shape == (96, 96, 3)
