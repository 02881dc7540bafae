from pathlib import Path

import numpy as np
from PIL import Image

from training.embedded.near_duplicates import find_near_duplicates


def test_the_same_picture_smaller_and_compressed_is_a_near_duplicate(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        coarse.resize((360, 360), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    with Image.open(tmp_path / "first.png") as image:
        image.resize((120, 120)).save(tmp_path / "first-small.jpg", quality=50)
    (tmp_path / "note.txt").write_text("no picture")
    assert find_near_duplicates(sorted(tmp_path.iterdir())) == [(tmp_path / "first-small.jpg", tmp_path / "first.png")]
