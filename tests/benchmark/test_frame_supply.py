"""Frames that no cache has seen: other bytes, equal pixels."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.frame_supply import FrameSupply, with_comment


@pytest.fixture
def pool(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(2):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (32, 16), (number * 100, 50, 50)).save(path)
        paths.append(path)
    return paths


def test_no_frame_comes_twice_and_every_pixel_stays(pool: list[Path], tmp_path: Path) -> None:
    supply = FrameSupply(pool, tmp_path / "run")
    frames = supply.encoded(5) + [path.read_bytes() for path in supply.files(5)]
    assert len({hashlib.sha256(frame).digest() for frame in frames}) == 10
    originals = [np.asarray(Image.open(path)) for path in pool]
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(frame))), originals[number % 2])


def test_another_run_makes_other_frames(pool: list[Path], tmp_path: Path) -> None:
    assert FrameSupply(pool, tmp_path / "a").encoded(1) != FrameSupply(pool, tmp_path / "b").encoded(1)


def test_files_are_removed_when_forgotten(pool: list[Path], tmp_path: Path) -> None:
    supply = FrameSupply(pool, tmp_path / "run")
    files = supply.files(3)
    assert all(path.is_absolute() and path.exists() for path in files)
    supply.forget()
    assert not any(path.exists() for path in files)


def test_only_jpeg_files_take_a_comment() -> None:
    with pytest.raises(ValueError, match="JPEG"):
        with_comment(b"\x89PNG", "x")
