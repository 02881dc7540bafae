"""Cut faces on disk, as PNG: one folder for each file content and set of parameters, complete or absent."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets import default_cache_dir
from preprocessing import PREPROCESSING_VERSION, Box
from training.data.faces import MAX_WIDE_SIDE_PX, CutFace, CutParams
from training.errors import DatasetError

_LAYOUT_VERSION = 1
_INDEX = "faces.json"


@dataclass(frozen=True)
class CachedFile:
    """The cut faces of one media file.

    Attributes:
        folder: Where they lie.
        boxes: The face's box in each wide crop.
        picture_hash: See `training.data.split`.
        failed_frames: Frames that could not be decoded.
    """

    folder: Path
    boxes: tuple[Box, ...]
    picture_hash: str
    failed_frames: int

    def wide(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, RGB, 0-255: the wide crop of a frame."""
        return _read_png(self.folder / f"{number:04}.wide.png")

    def served(self, number: int) -> NDArray[np.uint8]:
        """(S, S, 3) uint8, RGB, 0-255: what serving would give to the classifier for a frame."""
        return _read_png(self.folder / f"{number:04}.served.png")


class FaceCache:
    """A folder of cut faces; several processes may write into it at a time."""

    def __init__(self, folder: Path, params: CutParams) -> None:
        """Makes the folder.

        Raises:
            DatasetError: It cannot be written.
        """
        described = {
            **asdict(params), "max": MAX_WIDE_SIDE_PX, "layout": _LAYOUT_VERSION, "pixels": PREPROCESSING_VERSION,
        }  # fmt: skip
        key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
        self._folder = folder / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatasetError(
                f"cannot make the cache {self._folder}: {error.strerror}; give another folder"
            ) from error

    def load(self, sha256: str) -> CachedFile | None:
        """The cut faces of a file content, or None where they are not kept."""
        folder = self._folder / sha256[:2] / sha256
        try:
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            boxes = tuple(Box(*box) for box in index["boxes"])
            return CachedFile(folder, boxes, index["picture_hash"], index["failed_frames"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, sha256: str, faces: list[CutFace], picture_hash: str, failed_frames: int) -> CachedFile:
        """Keeps the cut faces of a file content.

        Raises:
            DatasetError: The disk is full or the folder cannot be written.
        """
        folder = self._folder / sha256[:2] / sha256
        index = {
            "boxes": [[f.box.x0, f.box.y0, f.box.x1, f.box.y1] for f in faces],
            "picture_hash": picture_hash,
            "failed_frames": failed_frames,
        }
        scratch: Path | None = None
        try:
            folder.parent.mkdir(exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
            for number, face in enumerate(faces):
                Image.fromarray(face.wide).save(scratch / f"{number:04}.wide.png", compress_level=1)
                Image.fromarray(face.served).save(scratch / f"{number:04}.served.png", compress_level=1)
            (scratch / _INDEX).write_text(json.dumps(index), encoding="utf-8")
            _move(scratch, folder)
        except OSError as error:
            raise DatasetError(f"cannot write into the cache {self._folder}: {error.strerror}") from error
        finally:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
        return CachedFile(folder, tuple(face.box for face in faces), picture_hash, failed_frames)


def default_faces_dir() -> Path:
    """`faces` in the cache folder of this project (`DEEPFAKE_CACHE_DIR`, or the user's)."""
    return default_cache_dir() / "faces"


def _move(scratch: Path, folder: Path) -> None:
    """Gives a complete folder its name; another process may have been first with the same content."""
    try:
        scratch.rename(folder)
    except OSError:
        if not (folder / _INDEX).is_file():  # what is there is damaged
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)


def _read_png(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.array(image)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read; delete the cache's folder {path.parent}, and run again") from error
