"""Scores of made clips of people whom the embedded model has not seen.

`python -m training.embedded.clips > scores.jsonl` takes some minutes. Each clip is 30 shots of one picture
by an unsteady camera: shifted, zoomed, brighter or darker, compressed as JPEG. A real one is of a face as it is, a fake
one of the face forged by one of the methods that the model is measured with, in turn. The rows are those of
`deepfake-detect`, as far as `training.calibration.video_rules` reads them.
"""

import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from PIL import Image

from assets import default_cache_dir
from deepfake_client.command_line.exits import USAGE, fail, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import Seed
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from export.checkpoint.torch_scores import fake_probabilities, open_preparer
from export.errors import ExportError
from training.data.changes import Pixels, to_uint8
from training.data.faces import FaceImage
from training.embedded.faces import load_photographs
from training.embedded.pictures import METHODS, SIDE_PX, held_out_pictures
from training.errors import TrainingError

_FRAMES = 30
_SHIFT, _ZOOM, _LIGHT = 0.02, 0.03, 0.06
_QUALITY = (60, 95)


def made_clips(faces: Sequence[FaceImage], seed: int) -> Iterator[tuple[str, list[bytes]]]:
    """Name and frames, JPEG files, of a clip of each face untouched, and of one forged by each method in turn."""
    forged, wanted = itertools.cycle(METHODS[1:]), ""
    for number, picture in enumerate(held_out_pictures(faces, 1, seed)):
        if picture.method == "untouched":
            wanted = next(forged)
        if picture.method in ("untouched", wanted):
            rng = np.random.default_rng([seed, number])
            yield f"{picture.label}/{picture.name}", [shot(picture.pixels, rng) for _ in range(_FRAMES)]


def shot(pixels: Pixels, rng: np.random.Generator) -> bytes:
    """A frame of an unsteady camera, as JPEG."""
    height, width = pixels.shape[:2]
    zoom = 1 + rng.uniform(0, _ZOOM)
    shift = rng.normal(0, _SHIFT, 2) * (width, height)
    to = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]], np.float32)
    moved = cv2.warpAffine(pixels, to, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    lit = to_uint8(moved.astype(np.float32) * (1 + rng.uniform(-_LIGHT, _LIGHT)))
    stream = io.BytesIO()
    Image.fromarray(lit).save(stream, "JPEG", quality=int(rng.integers(*_QUALITY)))
    return stream.getvalue()


PROGRAM = "python -m training.embedded.clips"

EXAMPLES = ("python -m training.embedded.clips > clips.jsonl",)

app = new_app(PROGRAM)


@app.command(cls=styled({0: "printed", 1: "photographs or model cannot be had: see the message", **USAGE}, EXAMPLES))
def main(
    checkpoint: Annotated[
        str, typer.Option(help="Hub id, or a directory that transformers loads.")
    ] = "deploy/embedded_checkpoint",
    photographs: Annotated[
        Path | None, typer.Option(show_default="the user's cache folder", help="Where the photographs are kept.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Makes clips of unseen people, and prints a JSON line with the scores of each."""
    try:
        found = load_photographs(photographs or default_cache_dir() / "training-photos", SIDE_PX)
        loaded = load_checkpoint(locate_checkpoint(checkpoint))
    except (TrainingError, ExportError) as error:
        fail(PROGRAM, str(error), 1)
    with open_preparer(loaded) as preparer:
        for name, frames in made_clips((*found.val, *found.test), seed):
            squares = np.stack([preparer.prepare(frame).pixels for frame in frames])
            p = fake_probabilities(loaded, squares)
            predictions = [{"fake_probability": round(float(value), 6)} for value in p]
            print(json.dumps({"file": name, "metadata": {"frame_predictions": predictions}}), flush=True)


if __name__ == "__main__":
    run(app, PROGRAM)
