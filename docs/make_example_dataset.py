"""Makes the small labelled set of docs/evaluation.md: `python docs/make_example_dataset.py DIRECTORY`.

Real: parts of the sample photos. Fake: other parts of them with their middle swirled. Also one video of each class and
one file that is broken. It exercises the evaluation; as a test of a detector it means nothing.
"""

import argparse
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from assets import SAMPLE_PHOTOS, fetch_assets

PARTS = 12
"""Parts of each photo for each class."""

SIDE_PX = 384


def parts(photo: Path, seed: int) -> list[Image.Image]:
    """Random squares of a photo, most of it each, mirrored at random, with random brightness."""
    rng = np.random.default_rng(seed)
    made = []
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    for _ in range(PARTS):
        side = int(min(image.size) * rng.uniform(0.7, 1.0))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        part = image.crop((left, top, left + side, top + side)).resize((SIDE_PX, SIDE_PX))
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part
        made.append(ImageEnhance.Brightness(part).enhance(rng.uniform(0.7, 1.2)))
    return made


def swirled(image: Image.Image, angle_rad: float = 1.2) -> Image.Image:
    """The image with its middle turned by an angle that falls to 0 at the border of the inscribed circle."""
    pixels = np.asarray(image)
    y, x = np.indices(pixels.shape[:2]).astype(np.float64)
    centre = (SIDE_PX - 1) / 2
    radius = np.hypot(x - centre, y - centre)
    turn = angle_rad * np.clip(1 - radius / centre, 0, 1) + np.arctan2(y - centre, x - centre)
    source_x, source_y = (np.rint(centre + radius * f(turn)).astype(int).clip(0, SIDE_PX - 1) for f in (np.cos, np.sin))
    return Image.fromarray(pixels[source_y, source_x])


def write_video(path: Path, images: list[Image.Image]) -> None:
    """A video of one frame a second that shows the images in turn."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1, options={"b": "4000000"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for image in images:
            pixels: NDArray[np.uint8] = np.asarray(image)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def main() -> None:
    """Writes the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    photos = fetch_assets(list(SAMPLE_PHOTOS))
    for label, change in (("real", lambda image: image), ("fake", swirled)):
        folder = directory / label
        folder.mkdir(parents=True, exist_ok=True)
        for number, photo in enumerate(SAMPLE_PHOTOS):
            images = [change(image) for image in parts(photos[photo.name], seed=2 * number + (label == "fake"))]
            stem = Path(photo.name).stem
            for part, image in enumerate(images):
                image.save(folder / f"{stem}-{part:02}.jpg", quality=92)
            if photo.name == "astronaut.png":
                write_video(folder / f"{stem}.mp4", images)
    (directory / "fake" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")


if __name__ == "__main__":
    main()
