import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing import Box, PreprocessParams, ResizeMode, ResizeSpec, Square, crop_square

VECTORS = json.loads(Path(__file__).with_name("crop_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["case"])
def test_crop_vectors(vector: dict) -> None:
    width, height = vector["image_px"]
    assert crop_square(Box(*vector["face_px"]), width, height, vector["factor"]) == Square(*vector["square"])


@st.composite
def faces(draw: st.DrawFn) -> tuple[Box, int, int, float]:
    """A face box inside an image, and a factor."""
    width, height = draw(st.integers(1, 5000)), draw(st.integers(1, 5000))
    x0, x1 = sorted(draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    y0, y1 = sorted(draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    return Box(x0, y0, x1, y1), width, height, draw(st.floats(1, 3))


@given(faces())
def test_the_square_lies_inside_the_image(case: tuple[Box, int, int, float]) -> None:
    face, width, height, factor = case
    square = crop_square(face, width, height, factor)
    assert square.side >= 1
    assert 0 <= square.x0 <= width - square.side
    assert 0 <= square.y0 <= height - square.side


@given(faces())
def test_its_side_is_the_factor_times_the_longer_side_up_to_the_shorter_side_of_the_image(
    case: tuple[Box, int, int, float],
) -> None:
    face, width, height, factor = case
    side = crop_square(face, width, height, factor).side
    wanted = factor * max(face.x1 - face.x0, face.y1 - face.y0)
    assert side <= min(width, height)
    if 1 <= wanted <= min(width, height):
        assert abs(side - wanted) <= 0.5 + 1e-6


@given(faces())
def test_it_is_centred_on_the_face_unless_an_edge_forbids(case: tuple[Box, int, int, float]) -> None:
    face, width, height, factor = case
    square = crop_square(face, width, height, factor)
    for start, limit, low, high in (
        (square.x0, width - square.side, face.x0, face.x1),
        (square.y0, height - square.side, face.y0, face.y1),
    ):
        if 0 < start < limit:
            assert abs(start + square.side / 2 - (low + high) / 2) <= 0.5 + 1e-6


def test_clipping() -> None:
    assert Box(-5, 10, 30, 200).clipped(20, 100) == Box(0, 10, 20, 100)
    assert Box(30, 0, 40, 10).clipped(20, 100).area == 0
    assert Box(1, 2, 4, 6).area == 12


def test_parameters_survive_json() -> None:
    params = PreprocessParams(
        resize=ResizeSpec(384, resample=3, mode=ResizeMode.SHORTEST_EDGE_CENTER_CROP, edge_px=438), crop_factor=1.7
    )
    assert PreprocessParams.from_dict(json.loads(json.dumps(params.to_dict()))) == params


@pytest.mark.parametrize("factor", [0.99, 10.1, float("nan")])
def test_impossible_crop_factors(factor: float) -> None:
    with pytest.raises(ValueError, match="crop_factor"):
        PreprocessParams(crop_factor=factor)


@pytest.mark.parametrize(("size_px", "edge_px"), [(0, 0), (224, 200), (-1, 0)])
def test_impossible_resizes(size_px: int, edge_px: int) -> None:
    with pytest.raises(ValueError, match="cannot give"):
        ResizeSpec(size_px, edge_px=edge_px)
