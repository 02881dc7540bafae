"""Pictures that are the same photograph in another size, cut or compression: `python -m ... FOLDER` lists them."""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_DISTANCE_BITS = 6  # of 64; unrelated photographs differ in about 32


def difference_hash(image: Image.Image) -> int:
    """64 bits: for each of 8 x 8 places, whether brightness rises to the right in the picture reduced to 9 x 8."""
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS), dtype=np.int16)
    rises = (small[:, 1:] > small[:, :-1]).ravel()
    return int("".join("1" if rise else "0" for rise in rises), 2)


def find_near_duplicates(paths: list[Path], max_distance_bits: int = MAX_DISTANCE_BITS) -> list[tuple[Path, Path]]:
    """Pairs of pictures whose hashes differ in few bits; files that are no pictures are left out.

    Args:
        paths: Picture files.
        max_distance_bits: Largest number of differing bits (0-64) at which a pair counts.
    """
    hashes: dict[Path, int] = {}
    for path in paths:
        try:
            with Image.open(path) as image:
                hashes[path] = difference_hash(image)
        except (UnidentifiedImageError, OSError):
            continue
    pairs = combinations(hashes, 2)
    return [(a, b) for a, b in pairs if (hashes[a] ^ hashes[b]).bit_count() <= max_distance_bits]


if __name__ == "__main__":
    for first, second in find_near_duplicates(sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file())):
        print(f"{first}\t{second}")
