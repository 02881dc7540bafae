import io

import numpy as np
from PIL import Image

from preprocessing import Box
from tests.media import photo_pixels
from training.data.faces import FaceImage
from training.embedded.clips import made_clips, shot


def test_each_face_gives_a_real_clip_and_one_forged_by_the_next_method() -> None:
    faces = [
        FaceImage(np.ascontiguousarray(photo_pixels(name)[20:180, 60:220]), Box(40, 40, 110, 120), name[:3], name)
        for name in ("astronaut.png", "chelsea.png")
    ]
    clips = dict(made_clips(faces, seed=0))
    kinds = [name.split("-")[0] for name in clips]
    assert kinds == ["real/untouched", "fake/seen", "real/untouched", "fake/strong"]
    assert all(len(set(frames)) == 30 for frames in clips.values()), "no two shots are alike"
    assert clips == dict(made_clips(faces, seed=0))


def test_a_shot_shows_the_picture_moved_a_little() -> None:
    pixels = np.ascontiguousarray(photo_pixels("astronaut.png")[:256, :256])
    shown = np.asarray(Image.open(io.BytesIO(shot(pixels, np.random.default_rng(0)))))
    assert shown.shape == pixels.shape
    assert 1 < np.abs(shown.astype(float) - pixels).mean() < 40
