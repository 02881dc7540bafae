import json
from pathlib import Path

import numpy as np
import pytest

from preprocessing import Box
from training.embedded.curves import draw, read_curves
from training.embedded.faces import Photographs
from training.embedded.recipe import Recipe
from training.embedded.scaling import fewer_people, short_recipe
from training.errors import DatasetError
from training.face_image import FaceImage


def photographs(count: int) -> Photographs:
    pixels = np.zeros((8, 8, 3), np.uint8)
    faces = [FaceImage(pixels, Box(1, 1, 7, 7), f"person {n // 2}", f"{n}.jpg") for n in range(2 * count)]
    return Photographs(tuple(faces), (), (), ())


def test_fewer_people_keep_all_their_faces_and_are_among_more() -> None:
    everyone = photographs(20)
    kept = [{face.person for face in fewer_people(everyone, people).train} for people in (5, 10, 20)]
    assert [len(people) for people in kept] == [5, 10, 20]
    assert kept[0] < kept[1] < kept[2]
    assert len(fewer_people(everyone, 5).train) == 10


def test_a_short_recipe_differs_in_length_and_width_only() -> None:
    short = short_recipe(Recipe(), hidden_size=96, epochs=2)
    assert [stage.epochs for stage in short.stages] == [2, 2, 2]
    assert [stage.forgeries for stage in short.stages] == [stage.forgeries for stage in Recipe().stages]
    assert (short.model.hidden_size, short.model.layers) == (96, Recipe().model.layers)


def test_curves_count_pictures_over_all_stages(tmp_path: Path) -> None:
    recipe = Recipe()
    with pytest.raises(DatasetError, match="train first"):
        read_curves(tmp_path, recipe)
    for stage in recipe.stages:
        (tmp_path / stage.name).mkdir()
        history = [{"epoch": epoch, "auc": 0.5 + epoch / 10} for epoch in (1.0, 2.0)]
        (tmp_path / stage.name / "history.json").write_text(json.dumps(history))
    curves = read_curves(tmp_path, recipe)
    assert [pictures / 5600 for curve in curves for pictures in curve.pictures] == [1, 2, 3, 4, 5, 6]
    draw(curves, tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "<svg" in text
    assert all(f"stage {stage.name}" in text for stage in recipe.stages)
