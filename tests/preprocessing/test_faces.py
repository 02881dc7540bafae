import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from preprocessing import (
    WHOLE_PICTURE,
    Box,
    FaceDetector,
    FaceFinder,
    ImageRejectedError,
    Preparer,
    PreprocessParams,
    ResizeSpec,
    Status,
    resize_to_square,
)
from preprocessing.face_detection import FULL_RANGE_MODEL, SHORT_RANGE_MODEL
from tests.media import encode_image, photo, photo_pixels

ASTRONAUT_FACE = Box(173, 67, 276, 170)


@pytest.fixture(scope="module")
def models_dir() -> Path:
    return next(iter(fetch_assets(FACE_MODELS).values())).parent


@pytest.fixture(scope="module", params=list(FaceDetector))
def finder(models_dir: Path, request: pytest.FixtureRequest) -> Iterator[FaceFinder]:
    made = FaceFinder(models_dir, detector=request.param)
    yield made
    made.close()


@pytest.fixture
def one_model(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> object:
    """Leaves the finder only one of its two models."""
    models = dict(zip((FULL_RANGE_MODEL, SHORT_RANGE_MODEL), finder._models, strict=True))
    return lambda name: monkeypatch.setattr(finder, "_models", [models[name]])


def close_to(found: Box, expected: Box, tolerance: float) -> bool:
    pairs = zip(vars(found).values(), vars(expected).values(), strict=True)
    return all(abs(a - b) <= tolerance for a, b in pairs)


def resized(name: str, width: int, height: int) -> np.ndarray:
    return np.array(Image.fromarray(photo_pixels(name)).resize((width, height), Image.Resampling.LANCZOS))


TWO_BOXES = (Box(173, 67, 276, 170), Box(712, 124, 783, 195))


def two_faces() -> np.ndarray:
    """The astronaut, and to her right the same picture at 0.7 of its size."""
    small = resized("astronaut.png", 358, 358)
    picture = np.full((512, 512 + 400, 3), 200, np.uint8)
    picture[:, :512] = photo_pixels("astronaut.png")
    picture[77 : 77 + 358, 591 - 0 : 591 + 321] = small[:, :321]
    return picture


def test_one_face(finder: FaceFinder) -> None:
    face = finder.largest_face(photo_pixels("astronaut.png"))
    assert face is not None
    assert close_to(face.box, ASTRONAUT_FACE, 3)
    assert 0.8 < face.score <= 1


def test_a_face_in_a_grey_photo(finder: FaceFinder) -> None:
    face = finder.largest_face(photo_pixels("camera.png"))
    assert face is not None
    assert close_to(face.box, Box(200, 122, 277, 199), 3)


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg"])
def test_no_face(finder: FaceFinder, name: str) -> None:
    assert finder.largest_face(photo_pixels(name)) is None


@pytest.mark.parametrize(("left", "top"), [(600, 200), (100, 100), (700, 10)])
def test_a_small_face_in_a_large_picture_needs_the_full_range_model(
    finder: FaceFinder, one_model: object, left: int, top: int
) -> None:
    """80 px of a 1280 x 720 picture."""
    picture = np.full((720, 1280, 3), 120, np.uint8)
    side = round(512 * 80 / 103)
    picture[top : top + side, left : left + side] = resized("astronaut.png", side, side)
    face = finder.largest_face(picture)
    assert face is not None
    scale = side / 512
    expected = Box(left + 173 * scale, top + 67 * scale, left + 276 * scale, top + 170 * scale)
    assert close_to(face.box, expected, 15)
    one_model(SHORT_RANGE_MODEL)
    assert finder.largest_face(picture) is None


def test_a_face_that_fills_the_picture_needs_the_short_range_model(finder: FaceFinder, one_model: object) -> None:
    crop = np.ascontiguousarray(photo_pixels("astronaut.png")[62:175, 168:281])
    crop = np.array(Image.fromarray(crop).resize((640, 640)))
    face = finder.largest_face(crop)
    assert face is not None
    assert face.box.width > 500
    assert face.score > 0.9
    one_model(FULL_RANGE_MODEL)
    assert finder.largest_face(crop) is None


def test_the_largest_of_two_faces(finder: FaceFinder) -> None:
    picture = np.full((512, 1024, 3), 120, np.uint8)
    picture[:512, 512:] = photo_pixels("astronaut.png")
    picture[100:456, 50:406] = resized("astronaut.png", 356, 356)
    face = finder.largest_face(picture)
    assert face is not None
    assert close_to(face.box, Box(512 + 173, 67, 512 + 276, 170), 12)


def test_boxes_are_clipped_to_the_image(finder: FaceFinder) -> None:
    cut = np.ascontiguousarray(photo_pixels("astronaut.png")[85:, 200:])
    face = finder.largest_face(cut)
    if face is not None:
        height, width = cut.shape[:2]
        assert face.box == face.box.clipped(width, height)
        assert min(face.box.x0, face.box.y0) >= 0


@pytest.mark.parametrize(
    "pixels",
    [
        photo_pixels("astronaut.png")[:, ::2],
        photo_pixels("astronaut.png").transpose(1, 0, 2),
        photo_pixels("astronaut.png")[:, :, 0].copy(),
        photo_pixels("astronaut.png").astype(np.float32),
        np.zeros((10, 10, 4), np.uint8),
    ],
)
def test_arrays_that_would_be_misread_are_refused(finder: FaceFinder, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        finder.largest_face(pixels)
    assert finder.largest_face(photo_pixels("astronaut.png")) is not None, "and the finder goes on"


@pytest.mark.parametrize("shape", [(1, 1), (15, 500), (500, 15), (16, 16)])
def test_tiny_images_hold_no_face(finder: FaceFinder, shape: tuple[int, int]) -> None:
    assert finder.largest_face(np.zeros((*shape, 3), np.uint8)) is None


@pytest.mark.parametrize("detector", FaceDetector)
def test_very_long_images_do_not_abort_the_process(detector: FaceDetector, models_dir: Path) -> None:
    """MediaPipe aborts the whole process above 32,766 px, so the proof needs a process of its own."""
    code = f"""
import numpy as np
from pathlib import Path
from preprocessing import FaceDetector, FaceFinder
finder = FaceFinder(Path({str(models_dir)!r}), detector=FaceDetector({detector.value!r}))
for shape in [(40_000, 20), (20, 40_000), (32_767, 64), (40_000, 1), (1, 40_000)]:
    assert finder.largest_face(np.zeros((*shape, 3), np.uint8)) is None
print("alive")
"""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n", done.stderr[-500:]


def test_a_face_in_a_reduced_image_has_its_place_in_the_original(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocessing.face_detection.finder._MAX_SIDE_PX", 512)
    face = finder.largest_face(resized("astronaut.png", 1024, 1024))
    assert face is not None
    assert close_to(face.box, Box(346, 134, 552, 340), 12)


@pytest.mark.parametrize("detector", FaceDetector)
def test_missing_models(detector: FaceDetector) -> None:
    with pytest.raises(FileNotFoundError):
        FaceFinder(Path("/nonexistent"), detector=detector)


def test_the_parameters_choose_the_detector(models_dir: Path) -> None:
    for detector in FaceDetector:
        preparer = Preparer(PreprocessParams(face_detector=detector), models_dir)
        (module,) = {type(model).__module__ for model in preparer._finder._models}  # type: ignore[union-attr]
        assert module == f"preprocessing.face_detection.{detector}_model"
        preparer.close()


@pytest.fixture(scope="module")
def preparer(models_dir: Path) -> Iterator[Preparer]:
    made = Preparer(PreprocessParams(ResizeSpec(64)), models_dir)
    yield made
    made.close()


def test_prepare_crops_the_face(preparer: Preparer) -> None:
    prepared = preparer.prepare(photo("astronaut.png").read_bytes())
    assert prepared.pixels.shape == (64, 64, 3)
    assert prepared.faces
    side = round(1.3 * prepared.faces[0].box.width)
    x0, y0 = (round((a + b) / 2 - side / 2) for a, b in ((173, 276), (67, 170)))
    crop = Image.fromarray(photo_pixels("astronaut.png")[y0 : y0 + side, x0 : x0 + side])
    reference = np.asarray(crop.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(prepared.pixels - reference).mean() < 4


def test_prepare_takes_the_whole_image_without_a_face(preparer: Preparer) -> None:
    prepared = preparer.prepare(photo("coffee.png").read_bytes())
    assert not prepared.faces
    reference = Image.fromarray(photo_pixels("coffee.png")).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(prepared.pixels, np.asarray(reference))


def test_prepare_without_face_detection_loads_no_face_model() -> None:
    without = Preparer(PreprocessParams(ResizeSpec(64), face_detection=False), Path("/nonexistent"))
    prepared = without.prepare(photo("astronaut.png").read_bytes())
    without.close()
    assert not prepared.faces
    reference = Image.fromarray(photo_pixels("astronaut.png")).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(prepared.pixels, np.asarray(reference))


@pytest.mark.parametrize(("orientation", "turns"), [(6, 1), (3, 2), (8, -1)])
def test_the_box_is_in_oriented_coordinates(preparer: Preparer, orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(np.rot90(photo_pixels("astronaut.png")[:, 50:450], turns))
    face = preparer.prepare(encode_image(stored, "PNG", exif=exif)).faces[0]
    assert close_to(face.box, Box(123, 67, 226, 170), 6)


def test_a_rejected_image_leaves_the_preparer_usable(preparer: Preparer) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        preparer.prepare(b"text")
    assert caught.value.status is Status.NOT_AN_IMAGE
    buffer = io.BytesIO()
    Image.new("L", (1, 40_000)).save(buffer, "PNG")
    assert preparer.prepare(buffer.getvalue()).pixels.shape == (64, 64, 3)
    assert preparer.prepare(photo("astronaut.png").read_bytes()).faces


def test_every_face_is_found_the_largest_first(finder: FaceFinder) -> None:
    faces = finder.faces(two_faces())
    assert [close_to(face.box, box, 12) for face, box in zip(faces, TWO_BOXES, strict=True)] == [True, True]
    assert faces[0].box.area > faces[1].box.area
    assert finder.largest_face(two_faces()) == faces[0]


def test_the_crop_is_cut_around_a_given_face(preparer: Preparer) -> None:
    picture = encode_image(two_faces(), "PNG")
    found = preparer.prepare(picture)
    assert len(found.faces) == 2
    first, second = (preparer.prepare(picture, face.box) for face in found.faces)
    assert np.array_equal(first.pixels, found.pixels)
    assert not np.array_equal(second.pixels, found.pixels)
    assert first.faces == second.faces == (), "no search"


def test_the_whole_picture_can_be_asked_for(preparer: Preparer) -> None:
    picture = encode_image(two_faces(), "PNG")
    whole = preparer.prepare(picture, WHOLE_PICTURE)
    assert np.array_equal(whole.pixels, resize_to_square(two_faces(), ResizeSpec(64)))


@pytest.mark.parametrize("box", [(900, 10, 950, 60), (10, 10, 10, 60), (10, 10, 5, 60), (float("nan"), 1, 9, 9)])
def test_a_box_that_covers_nothing_is_refused(preparer: Preparer, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        preparer.prepare(photo("astronaut.png").read_bytes(), Box(*box))
    assert caught.value.status is Status.FACE_BOX_OUTSIDE
