"""Frames with a face that no cache has seen: other bytes, equal pixels."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from benchmark.frames import SIZE_PX, fresh_frames, make_face_frames, with_comment
from preprocessing import FaceFinder


def test_each_frame_differs_has_a_face_and_is_the_same_every_time(tmp_path: Path) -> None:
    frames = make_face_frames(tmp_path / "a", 6)
    contents = [frame.read_bytes() for frame in frames]
    assert len(set(contents)) == 6
    finder = FaceFinder(next(iter(fetch_assets(FACE_MODELS).values())).parent)
    for frame in frames:
        with Image.open(frame) as image:
            assert (image.format, image.size) == ("JPEG", SIZE_PX)
            face = finder.largest_face(np.array(image))
        assert face is not None
        assert face.box.height == pytest.approx(SIZE_PX[1] * 0.43, rel=0.4)
    finder.close()
    assert [frame.read_bytes() for frame in make_face_frames(tmp_path / "b", 6)] == contents


def test_no_frame_comes_twice_and_every_pixel_stays(tmp_path: Path) -> None:
    pool = [tmp_path / f"{number}.jpg" for number in range(2)]
    for number, path in enumerate(pool):
        Image.new("RGB", (32, 16), (number * 100, 50, 50)).save(path)
    files = fresh_frames(pool, tmp_path / "run", 5) + fresh_frames(pool, tmp_path / "run", 5)
    frames = [path.read_bytes() for path in files]
    assert len(set(frames)) == 10
    shown = sorted(np.asarray(Image.open(io.BytesIO(frame))).tobytes() for frame in frames)
    assert set(shown) == {np.asarray(Image.open(path)).tobytes() for path in pool}


def test_only_jpeg_files_take_a_comment() -> None:
    with pytest.raises(ValueError, match="JPEG"):
        with_comment(b"\x89PNG", "x")
