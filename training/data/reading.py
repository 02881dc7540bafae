"""Reads media files into the cache of cut faces, and lists the files that cannot be read."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deepfake_client import DetectionError
from deepfake_client.batch.progress import with_progress
from deepfake_client.detector import read_frames
from deepfake_client.media import identify, open_media
from deepfake_client.video.sampling import Sampling

from assets import FACE_MODELS, AssetError, fetch_assets
from preprocessing import FaceFinder, ImageRejectedError
from training.data.face_cache import CachedFile, FaceCache
from training.data.faces import CutFace, CutParams, cut_face, decode_frame
from training.data.media_files import MediaFile
from training.data.split import picture_hash
from training.errors import DatasetError

_MAX_FRAME_BYTES = 512 * 2**20
"""Bound of the encoded frames of one file together."""

log = logging.getLogger("training")


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
    with _finder() as finder:
        for file in with_progress(files, len(files), "reading"):
            check()
            if kept := cache.load(file.sha256):
                readable.append((file, kept))
                from_cache += 1
                continue
            try:
                readable.append((file, _cut_file(file, finder, cache, params)))
            except (DetectionError, ImageRejectedError, OSError) as error:
                unreadable.append(UnreadableFile(file, str(error) or type(error).__name__))
    return ReadFiles(tuple(readable), tuple(unreadable), from_cache)


def refuse_mostly_unreadable(read: ReadFiles) -> None:
    """Says how many files could not be read.

    Raises:
        DatasetError: More than half of them.
    """
    total = len(read.readable) + len(read.unreadable)
    if not read.unreadable:
        return
    first = read.unreadable[0]
    message = f"{len(read.unreadable)} of {total} files cannot be read, such as {first.file.name}: {first.reason}"
    if 2 * len(read.unreadable) > total:
        raise DatasetError(f"{message}; unreadable.csv lists them: replace or remove them, and run again")
    log.warning("%s; unreadable.csv lists them, the run goes on without them", message)


def _cut_file(file: MediaFile, finder: Callable[[], FaceFinder], cache: FaceCache, params: CutParams) -> CachedFile:
    """Reads one file; the picture in its middle gives the perceptual hash."""
    with open_media(file.path) as stream:
        frames = read_frames(identify(stream, file.name), Sampling(params.frames, _MAX_FRAME_BYTES))
    faces: list[CutFace] = []
    hash_, rejection = "", None
    for number, frame in enumerate(frames):
        try:
            pixels = decode_frame(frame.encoded)
        except ImageRejectedError as error:
            rejection = error
            continue
        if number == len(frames) // 2:
            hash_ = picture_hash(pixels)
        faces.append(cut_face(pixels, finder().largest_face(pixels), params))
    if rejection and not faces:
        raise rejection
    return cache.store(file.sha256, faces, hash_, len(frames) - len(faces))


@contextmanager
def _finder() -> Iterator[Callable[[], FaceFinder]]:
    """The face finder, loaded at its first use: a run over cached faces needs none."""
    loaded: list[FaceFinder] = []

    def get() -> FaceFinder:
        if not loaded:
            try:
                models = fetch_assets(FACE_MODELS)
            except AssetError as error:
                raise DatasetError(f"the face models cannot be fetched: {error}") from error
            loaded.append(FaceFinder(next(iter(models.values())).parent))
        return loaded[0]

    try:
        yield get
    finally:
        for finder in loaded:
            finder.close()
