import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.dataset import find_dataset
from preprocessing import Box
from tests.media import photo_pixels
from training.data.faces import FaceImage
from training.embedded.pictures import METHODS, held_out_pictures, write_pictures


@pytest.fixture(scope="module")
def faces() -> list[FaceImage]:
    """Three pretended people: a portrait, a cat and a cup."""
    squares = {"astronaut.png": (0, 64), "chelsea.png": (20, 60), "coffee.png": (60, 150)}
    return [
        FaceImage(
            np.ascontiguousarray(photo_pixels(name)[y : y + 220, x : x + 220]), Box(60, 50, 150, 160), name[:3], name
        )
        for name, (y, x) in squares.items()
    ]


def test_every_face_is_there_in_every_way(faces: list[FaceImage]) -> None:
    pictures = list(held_out_pictures(faces, variants=2, seed=0))
    counted = Counter((picture.method, picture.person) for picture in pictures)
    assert counted == {
        **{("untouched", face.person): 1 for face in faces},
        **{(method, face.person): 2 for method in METHODS for face in faces},
    }
    assert {p.label for p in pictures if p.method in ("untouched", "filtered")} == {"real"}
    assert {p.label for p in pictures if p.method not in ("untouched", "filtered")} == {"fake"}


def test_fakes_differ_from_their_originals_and_from_each_other(faces: list[FaceImage]) -> None:
    pictures = [p for p in held_out_pictures(faces[:2], variants=2, seed=0) if p.person == faces[0].person]
    contents = {picture.pixels.tobytes() for picture in pictures}
    assert len(contents) == len(pictures)


def test_what_is_written_is_a_data_set_with_its_people(faces: list[FaceImage], tmp_path: Path) -> None:
    write_pictures(held_out_pictures(faces, variants=1, seed=0), tmp_path / "held-out")
    dataset = find_dataset(tmp_path / "held-out")
    assert len(dataset.files) == 3 * (1 + len(METHODS))
    with (tmp_path / "held-out" / "people.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["file"] for row in rows} == {file.name for file in dataset.files}
    first = next(picture for picture in held_out_pictures(faces, 1, 0))
    with Image.open(tmp_path / "held-out" / "real" / f"{first.name}.png") as image:
        assert np.array_equal(np.asarray(image), first.pixels)
