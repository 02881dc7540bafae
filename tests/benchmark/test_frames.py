from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from benchmark.frames import SIZE_PX, make_face_frames
from preprocessing import FaceFinder


def test_each_frame_differs_has_a_face_and_is_the_same_every_time(tmp_path: Path) -> None:
    frames = make_face_frames(tmp_path / "a", 12)
    contents = [frame.read_bytes() for frame in frames]
    assert len(set(contents)) == 12
    finder = FaceFinder(next(iter(fetch_assets(FACE_MODELS).values())).parent)
    for frame in frames:
        with Image.open(frame) as image:
            assert (image.format, image.size) == ("JPEG", SIZE_PX)
            face = finder.largest_face(np.array(image))
        assert face is not None
        assert face.box.height == pytest.approx(SIZE_PX[1] * 0.43, rel=0.4)
    finder.close()
    later = make_face_frames(tmp_path / "b", 4, first=8)
    assert [frame.name for frame in later] == [frame.name for frame in frames[8:]]
    assert [frame.read_bytes() for frame in later] == contents[8:]
    assert [path.suffix for path in (tmp_path / "b").iterdir()] == [".jpg"] * 4
