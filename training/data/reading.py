"""Reads media files into a cache of cut faces on disk, and lists the files that cannot be read."""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets import FACE_MODELS, AssetError, fetch_assets
from deepfake_client import DetectionError
from deepfake_client.batch.progress import with_progress
from deepfake_client.detector import read_frames
from deepfake_client.media import identify, open_media
from deepfake_client.video.sampling import Sampling
from evaluation.dataset import Label
from preprocessing import PREPROCESSING_VERSION, Box, Face, FaceFinder, ImageRejectedError
from training.data.faces import (
    MAX_WIDE_SIDE_PX,
    CutFace,
    CutParams,
    cut_face,
    decode_frame,
    picture_hash,
)
from training.data.media_files import MediaFile
from training.errors import DatasetError

_MAX_FRAME_BYTES = 512 * 2**20
"""Bound of the encoded frames of one file together."""

_LAYOUT_VERSION = 2
_SEVERAL_FACES = "every frame of this fake shows several faces: cut out the forged one, or give --faces largest"
_INDEX = "faces.json"

log = logging.getLogger("training")


@dataclass(frozen=True)
class CachedFile:
    """The cut faces of one media file.

    Attributes:
        folder: Where they lie.
        boxes: The face's box in each wide crop.
        frames: Number of the frame that each face was cut from.
        picture_hash: Of the picture in its middle, from `training.data.faces.picture_hash`.
        failed_frames: Frames that could not be decoded.
    """

    folder: Path
    boxes: tuple[Box, ...]
    frames: tuple[int, ...]
    picture_hash: str
    failed_frames: int

    def samples(self, label: Label) -> tuple[int, ...]:
        """Numbers of the faces whose label is known: of a fake frame with several faces nobody says which are forged.

        Args:
            label: The file's label.
        """
        known = label is Label.REAL
        return tuple(n for n, frame in enumerate(self.frames) if known or self.frames.count(frame) == 1)

    def wide(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, RGB, 0-255: the wide crop of a face."""
        return _read_png(self.folder / f"{number:04}.wide.png")

    def served(self, number: int) -> NDArray[np.uint8]:
        """(S, S, 3) uint8, RGB, 0-255: what serving would give to the classifier for a face."""
        return _read_png(self.folder / f"{number:04}.served.png")


class FaceCache:
    """Cut faces on disk, as PNG: one folder for each file content and set of parameters, complete or absent.

    Several processes may write into it at a time.
    """

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
            return CachedFile(folder, boxes, tuple(index["frames"]), index["picture_hash"], index["failed_frames"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, sha256: str, faces: list[tuple[int, CutFace]], picture_hash: str, failed_frames: int) -> CachedFile:
        """Keeps the cut faces of a file content, each with the number of its frame.

        Raises:
            DatasetError: The disk is full or the folder cannot be written.
        """
        folder = self._folder / sha256[:2] / sha256
        index = {
            "boxes": [[f.box.x0, f.box.y0, f.box.x1, f.box.y1] for _, f in faces],
            "frames": [frame for frame, _ in faces],
            "picture_hash": picture_hash,
            "failed_frames": failed_frames,
        }
        scratch: Path | None = None
        try:
            folder.parent.mkdir(exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
            for number, (_, face) in enumerate(faces):
                Image.fromarray(face.wide).save(scratch / f"{number:04}.wide.png", compress_level=1)
                Image.fromarray(face.served).save(scratch / f"{number:04}.served.png", compress_level=1)
            (scratch / _INDEX).write_text(json.dumps(index), encoding="utf-8")
            _move(scratch, folder)
        except OSError as error:
            raise DatasetError(f"cannot write into the cache {self._folder}: {error.strerror}") from error
        finally:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
        boxes, frames = tuple(face.box for _, face in faces), tuple(frame for frame, _ in faces)
        return CachedFile(folder, boxes, frames, picture_hash, failed_frames)


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be used, and why."""

    file: MediaFile
    reason: str


@dataclass(frozen=True)
class ReadFiles:
    """The outcome of reading.

    Attributes:
        readable: Each file with its cut faces, in the order given.
        unreadable: The others.
        from_cache: How many of the readable ones had been cut before.
    """

    readable: tuple[tuple[MediaFile, CachedFile], ...]
    unreadable: tuple[UnreadableFile, ...]
    from_cache: int


def read_files(
    files: Sequence[MediaFile], cache: FaceCache, params: CutParams, check: Callable[[], None] = lambda: None
) -> ReadFiles:
    """Cuts the faces of every file that is not in the cache yet.

    Args:
        files: What to read.
        cache: Where cut faces are kept.
        params: How faces are cut.
        check: Called between files; what it raises ends the reading.

    Raises:
        DatasetError: The cache cannot be written, or the face models cannot be fetched.
    """
    readable: list[tuple[MediaFile, CachedFile]] = []
    unreadable: list[UnreadableFile] = []
    from_cache = 0
    with ExitStack() as stack:
        # Loaded at its first use: a run over cached faces needs no finder.
        finder = lru_cache(lambda: stack.enter_context(closing(_load_finder())))
        for file in with_progress(files, len(files), "reading"):
            check()
            kept = cache.load(file.sha256)
            from_cache += kept is not None
            try:
                cut = kept or _cut_file(file, finder, cache, params)
            except (DetectionError, ImageRejectedError, OSError) as error:
                unreadable.append(UnreadableFile(file, str(error) or type(error).__name__))
                continue
            if cut.samples(file.label):
                readable.append((file, cut))
            else:
                unreadable.append(UnreadableFile(file, _SEVERAL_FACES))
    return ReadFiles(tuple(readable), tuple(unreadable), from_cache)


def refuse_mostly_unreadable(read: ReadFiles) -> None:
    """Says how many files cannot be used.

    Raises:
        DatasetError: More than half of them.
    """
    total = len(read.readable) + len(read.unreadable)
    if not read.unreadable:
        return
    first = read.unreadable[0]
    message = f"{len(read.unreadable)} of {total} files cannot be used, such as {first.file.name}: {first.reason}"
    if 2 * len(read.unreadable) > total:
        raise DatasetError(f"{message}; unreadable.csv lists them: replace or remove them, and run again")
    log.warning("%s; unreadable.csv lists them, the run goes on without them", message)


def _cut_file(file: MediaFile, finder: Callable[[], FaceFinder], cache: FaceCache, params: CutParams) -> CachedFile:
    """Reads one file; the picture in its middle gives the perceptual hash."""
    with open_media(file.path) as stream:
        frames = read_frames(identify(stream, file.name), Sampling(params.frames, _MAX_FRAME_BYTES))
    faces: list[tuple[int, CutFace]] = []
    hash_, rejection, failed = "", None, 0
    for number, frame in enumerate(frames):
        try:
            pixels = decode_frame(frame.encoded)
        except ImageRejectedError as error:
            rejection, failed = error, failed + 1
            continue
        if number == len(frames) // 2:
            hash_ = picture_hash(pixels)
        found = finder().faces(pixels) if params.face_detection else ()
        chosen: list[Face | None] = [
            found[place] for place in params.rules.scored([min(f.box.width, f.box.height) for f in found])
        ]
        faces += [(number, cut_face(pixels, face, params)) for face in chosen or [None]]
    if rejection and not faces:
        raise rejection
    return cache.store(file.sha256, faces, hash_, failed)


def _load_finder() -> FaceFinder:
    try:
        models = fetch_assets(FACE_MODELS)
    except AssetError as error:
        raise DatasetError(f"the face models cannot be fetched: {error}") from error
    return FaceFinder(next(iter(models.values())).parent)


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
