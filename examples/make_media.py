"""Makes the two example files again: `python -m examples.make_media`.

astronaut.png is Eileen Collins, NASA's portrait of 1999, in the public domain; it comes with scikit-image.
astronaut.mp4 is two seconds of it: the camera moves slowly towards the face.
"""

import shutil
from pathlib import Path

import av
import numpy as np
from PIL import Image

from assets import SAMPLE_PHOTOS, fetch_assets

FOLDER = Path(__file__).parent
FRAMES, RATE, SIDE_PX = 50, 25, 384
FACE_CENTRE_PX = (224, 128)
"""x, y in the photo of 512 x 512 px."""


def main() -> None:
    """Writes both files beside this one."""
    photo = fetch_assets([asset for asset in SAMPLE_PHOTOS if asset.name == "astronaut.png"])["astronaut.png"]
    shutil.copyfile(photo, FOLDER / "astronaut.png")
    with Image.open(photo) as image, av.open(str(FOLDER / "astronaut.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "28", "preset": "veryslow"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            pixels = np.asarray(_zoomed(image.convert("RGB"), number / (FRAMES - 1)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def _zoomed(image: Image.Image, progress: float) -> Image.Image:
    """The square around the face that is seen at this point of the movement, 0-1, as SIDE_PX x SIDE_PX."""
    side = image.width * (1 - 0.4 * progress)
    left, top = (
        min(max(image.width / 2 * (1 - progress) + centre * progress - side / 2, 0), image.width - side)
        for centre in FACE_CENTRE_PX
    )
    return image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, (left, top, left + side, top + side))


if __name__ == "__main__":
    main()
