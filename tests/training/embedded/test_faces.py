import numpy as np

from preprocessing import Box
from tests.media import photo_pixels
from training.calibration.golden import MAX_IMAGE_BYTES
from training.data.faces import FaceImage
from training.embedded.faces import pretend_faces, recoloured
from training.embedded.pictures import golden_candidates

SCENES = [photo_pixels(name) for name in ("coffee.png", "chelsea.png", "rocket.jpg")]


def test_squares_of_scenes_stand_in_for_faces() -> None:
    faces = pretend_faces(SCENES, 60, 160, np.random.default_rng(0))
    assert len(faces) == 60
    for face in faces:
        height, width = face.shape_px
        assert height == width <= 160
        assert face.pixels.flags.c_contiguous
        box = face.box
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
        assert 0.45 * width < box.width < 0.72 * width
    assert len({face.pixels.tobytes() for face in faces}) == 60


def test_the_same_generator_gives_the_same_squares() -> None:
    first, again = (pretend_faces(SCENES, 5, 160, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a.pixels, b.pixels) and a.box == b.box for a, b in zip(first, again, strict=True))


def test_recolouring_moves_channels_and_nothing_else() -> None:
    face = FaceImage(np.ascontiguousarray(SCENES[0][:200, :200]), Box(50, 50, 150, 150), "cup", "coffee.png")
    turned = [recoloured(face, np.random.default_rng(seed)) for seed in range(12)]
    assert all(np.array_equal(np.sort(t.pixels, axis=2), np.sort(face.pixels, axis=2)) for t in turned)
    assert len({t.pixels.tobytes() for t in turned}) > 2
    assert {(t.box, t.person, t.source) for t in turned} == {(face.box, face.person, face.source)}


def test_golden_candidates_are_always_the_same_pairs() -> None:
    pairs = golden_candidates(3, seed=0)
    assert golden_candidates(3, seed=0) == pairs
    for real, fake in pairs:
        assert (real.label, fake.label) == ("real", "fake")
        assert real.png != fake.png
        assert max(len(real.png), len(fake.png)) <= MAX_IMAGE_BYTES
