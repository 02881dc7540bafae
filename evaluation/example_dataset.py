"""Makes the small labelled set of docs/evaluate.md: `python -m evaluation.example_dataset DIRECTORY`.

Real: parts of the sample photos. Fake: other parts of them with their middle swirled. Also one video of each class and
one broken file. It shows how the evaluation works; it does not test a detector.
"""

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageEnhance

from assets import SAMPLE_PHOTOS, fetch_assets

_PARTS = 12
"""Parts of each photo for each class."""
_SIDE_PX = 384


def write_example_dataset(directory: Path) -> None:
    """Writes real/ and fake/ with 123 files in all; the same files each time."""
    photos = fetch_assets(list(SAMPLE_PHOTOS))
    for label in ("real", "fake"):
        folder = directory / label
        folder.mkdir(parents=True, exist_ok=True)
        for number, photo in enumerate(SAMPLE_PHOTOS):
            images = _parts(photos[photo.name], seed=2 * number + (label == "fake"))
            if label == "fake":
                images = [_swirled(image) for image in images]
            stem = Path(photo.name).stem
            for part, image in enumerate(images):
                image.save(folder / f"{stem}-{part:02}.jpg", quality=92)
            if photo.name == "astronaut.png":
                _write_video(folder / f"{stem}.mp4", images)
    (directory / "fake" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")


def _parts(photo: Path, seed: int) -> list[Image.Image]:
    """Random squares that hold most of the photo, mirrored at random, with random brightness."""
    rng = np.random.default_rng(seed)
    made = []
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    for _ in range(_PARTS):
        side = int(min(image.size) * rng.uniform(0.7, 1.0))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        part = image.crop((left, top, left + side, top + side)).resize((_SIDE_PX, _SIDE_PX))
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part
        made.append(ImageEnhance.Brightness(part).enhance(rng.uniform(0.7, 1.2)))
    return made


def _swirled(image: Image.Image, angle_rad: float = 1.2) -> Image.Image:
    """The image with its middle turned by an angle that falls to 0 at the border of the inscribed circle."""
    y, x = np.indices((_SIDE_PX, _SIDE_PX)).astype(np.float64)
    centre = (_SIDE_PX - 1) / 2
    radius = np.hypot(x - centre, y - centre)
    turn = angle_rad * np.clip(1 - radius / centre, 0, 1) + np.arctan2(y - centre, x - centre)
    x, y = (np.rint(centre + radius * f(turn)).astype(int).clip(0, _SIDE_PX - 1) for f in (np.cos, np.sin))
    return Image.fromarray(np.asarray(image)[y, x])


def _write_video(path: Path, images: list[Image.Image]) -> None:
    """A video of one frame a second that shows the images in turn."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1, options={"b": "4000000"})
        stream.width = stream.height = _SIDE_PX
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    write_example_dataset(Path(sys.argv[1]))
