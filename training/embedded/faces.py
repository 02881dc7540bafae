"""The listed photographs as faces in memory, and squares of scenes that stand in for faces."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets import FACE_MODELS, fetch_assets
from deepfake_client.detector import read_frames
from deepfake_client.media import identify, open_media
from deepfake_client.video.sampling import Sampling
from preprocessing import Box, FaceFinder
from training.data.faces import FaceImage, decode_frame, reduced, wide_crop
from training.embedded.photos import Photo, fetch_photos
from training.errors import DatasetError

WIDE_FACTOR = 2.0
"""Side of what is kept over the longer side of the face's box."""
_VIDEO_FRAMES = 8
_SCENE_SIDE_PX = (200, 700)
_SCENE_BOX = (0.5, 0.68)
_SCENE_SHIFT = 0.08


@dataclass(frozen=True)
class Photographs:
    """What the checkpoint is made from and measured on.

    Attributes:
        train: Faces to train on.
        val: Faces of other people: scale and bands are set on them.
        test: Faces of yet other people: only ever measured on.
        scenes: (H, W, 3) uint8, RGB, 0-255 each: photographs without a clear face, to train on.
    """

    train: tuple[FaceImage, ...]
    val: tuple[FaceImage, ...]
    test: tuple[FaceImage, ...]
    scenes: tuple[NDArray[np.uint8], ...]


def load_photographs(folder: Path, side_px: int) -> Photographs:
    """Fetches the photographs and cuts out the faces.

    Args:
        folder: Where the photographs are kept.
        side_px: Faces with their surroundings are reduced to this.

    Raises:
        DatasetError: They cannot be fetched, or a listed face is not found.
    """
    photos = fetch_photos(folder)
    with closing(FaceFinder(next(iter(fetch_assets(FACE_MODELS).values())).parent)) as finder:
        faces = {
            split: tuple(
                _cut(pixels, photo, finder, side_px)
                for photo in photos
                if photo.split == split and photo.kind != "scene"
                for pixels in _pictures(photo)
            )
            for split in ("train", "val", "test")
        }
    scenes = [photo for photo in photos if photo.kind == "scene" and photo.split == "train"]
    return Photographs(**faces, scenes=tuple(_pictures(photo)[0] for photo in scenes))


def pretend_faces(
    scenes: Sequence[NDArray[np.uint8]], count: int, side_px: int, rng: np.random.Generator
) -> list[FaceImage]:
    """Squares of scenes with a box where a face would be: the traces of a forgery can be learnt from any photograph.

    Args:
        scenes: (H, W, 3) uint8 RGB photographs.
        count: How many squares, each from another scene in turn.
        side_px: They are reduced to this.
        rng: Draws place, size, quarter turns and the order of the channels.
    """
    return [_pretend_face(scenes[i % len(scenes)], i, side_px, rng) for i in range(count)]


def recoloured(face: FaceImage, rng: np.random.Generator) -> FaceImage:
    """The face with its channels in random order, so that no colour of skin stands for a class."""
    pixels = np.ascontiguousarray(face.pixels[..., rng.permutation(3)])
    return FaceImage(pixels, face.box, face.person, face.source)


def _pictures(photo: Photo) -> list[NDArray[np.uint8]]:
    """The photograph, or frames spread over the video."""
    with open_media(photo.path) as stream:
        frames = read_frames(identify(stream, photo.path.name), Sampling(_VIDEO_FRAMES))
    return [decode_frame(frame.encoded) for frame in frames]


def _cut(pixels: NDArray[np.uint8], photo: Photo, finder: FaceFinder, side_px: int) -> FaceImage:
    face = finder.largest_face(pixels)
    if face is None or photo.person is None:
        raise DatasetError(f"{photo.path}: no face is found in it, though the list says there is one; remove it there")
    wide, box = reduced(*wide_crop(pixels, face, WIDE_FACTOR), side_px)
    return FaceImage(wide, box, photo.person, photo.path.name)


def _pretend_face(scene: NDArray[np.uint8], number: int, side_px: int, rng: np.random.Generator) -> FaceImage:
    height, width = scene.shape[:2]
    side = int(min(height, width, rng.uniform(*_SCENE_SIDE_PX) * max(1.0, min(height, width) / 1200)))
    y, x = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    square = np.rot90(scene[y : y + side, x : x + side], rng.integers(4))
    if rng.random() < 0.5:
        square = square[..., rng.permutation(3)]
    face_side = side * rng.uniform(*_SCENE_BOX)
    left, top = (side - face_side) / 2 + rng.uniform(-_SCENE_SHIFT, _SCENE_SHIFT, 2) * side
    box = Box(float(left), float(top), float(left + face_side), float(top + face_side))
    pixels, box = reduced(np.ascontiguousarray(square), box, side_px)
    return FaceImage(pixels, box, f"scene {number}", "scene")
