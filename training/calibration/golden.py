"""Records golden images: pictures that ship with a checkpoint, with the scores it gives them in fp32."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import ValidationError

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.batch.inputs import find_media
from evaluation.dataset import Label
from export.checkpoint.fusion import find_sources
from export.checkpoint.head import NOTHING_SAID, Labelling
from export.checkpoint.torch_scores import fake_probabilities
from export.golden import (
    DEFAULT_TOLERANCE,
    FOLDER,
    MAX_IMAGE_BYTES,
    MAX_IMAGES,
    GoldenEntry,
    GoldenManifest,
    GoldenSet,
)
from preprocessing import ImageRejectedError
from runtime import Fusion
from training.calibration.scores import Member, Squares, load_members, open_views, squares_of
from training.errors import CalibrationError
from training.writing import whole_folder

LEAST_GAP = 0.1
"""Between the highest real and the lowest fake score: more than any precision's rounding changes."""


@dataclass(frozen=True)
class GoldenPicture:
    """An image to record.

    Attributes:
        name: File name, ending in .png.
        label: What it shows.
        png: The file.
    """

    name: str
    label: Literal["real", "fake"]
    png: bytes


def read_pictures(directory: Path) -> list[GoldenPicture]:
    """The images in `real/` and `fake/` of a directory; what is no PNG file is saved as one.

    Raises:
        CalibrationError: There are none, too many, or one cannot be read.
    """
    pictures = []
    for label in Label:
        paths = find_media([str(directory / label.value)]) if (directory / label.value).is_dir() else []
        pictures += [_picture(path, label, number) for number, path in enumerate(sorted(paths), start=1)]
    if not {p.label for p in pictures} == {"real", "fake"} or len(pictures) > MAX_IMAGES:
        raise CalibrationError(
            f"{directory} needs images in real/ and in fake/, {MAX_IMAGES} at most; there are {len(pictures)}"
        )
    return pictures


def write_golden(
    checkpoint: Path,
    pictures: Sequence[GoldenPicture],
    *,
    said: Labelling = NOTHING_SAID,
    tolerance: float = DEFAULT_TOLERANCE,
    cache_dir: Path | None = None,
) -> GoldenSet:
    """Scores pictures with a checkpoint and writes them into its folder `golden`, replacing what was there.

    Args:
        checkpoint: Its directory, or that of a fusion.
        pictures: Real and fake ones.
        said: Of its outputs, or of each member's, by the user.
        tolerance: Largest |difference| of a later score that passes.
        cache_dir: Where the face models are kept; the assets' own default if None.

    Raises:
        CalibrationError: A picture cannot be scored, or the real ones do not score clearly below the fake ones.
        CheckpointError: The checkpoint cannot be loaded.
        AssetError: The face models cannot be fetched.
    """
    sources = find_sources(str(checkpoint.resolve()))
    members = load_members(sources, said)
    with_faces, whole = (_scores(members, sources.fusion, pictures, faces, cache_dir) for faces in (True, False))
    _require_gap(pictures, with_faces, "")
    _require_gap(pictures, whole, " without face detection")
    try:
        entries = tuple(
            GoldenEntry(
                file=picture.name,
                label=picture.label,
                fake_probability=round(p, 6),
                without_face_detection=round(q, 6),
                tolerance=tolerance,
            )
            for picture, p, q in zip(pictures, with_faces, whole, strict=True)
        )
        golden = GoldenSet(GoldenManifest(images=entries), tuple(picture.png for picture in pictures))
    except ValidationError as error:
        raise CalibrationError(f"these golden images cannot be recorded: {error.errors()[0]['msg']}") from error
    with whole_folder(checkpoint / FOLDER) as scratch:
        golden.write(scratch)
    return golden


def pictures_of(golden: GoldenSet) -> list[GoldenPicture]:
    """The pictures of a set, to be recorded again."""
    return [
        GoldenPicture(entry.file, entry.label, image)
        for entry, image in zip(golden.manifest.images, golden.images, strict=True)
    ]


def _scores(
    members: Sequence[Member],
    fusion: Fusion | None,
    pictures: Sequence[GoldenPicture],
    face_detection: bool,
    cache_dir: Path | None,
) -> list[float]:
    """Of each picture by its largest face."""
    squares: list[Squares] = [[] for _ in members]
    with open_views(members, face_detection=face_detection, cache_dir=cache_dir) as preparer:
        for picture in pictures:
            try:
                found, _ = squares_of(preparer, picture.png, FaceRules(FaceChoice.LARGEST))
            except ImageRejectedError as error:
                raise CalibrationError(f"golden image {picture.name} cannot be decoded: {error}") from error
            for own, (square,) in zip(squares, found, strict=True):
                own.append(square)
    pairs = zip(members, squares, strict=True)
    p = np.stack([fake_probabilities(member.checkpoint, np.stack(own)) for member, own in pairs], axis=1)
    fused = p[:, 0] if fusion is None else fusion.fake_probability(p.astype(np.float32))
    return [float(one) for one in fused]


def _require_gap(pictures: Sequence[GoldenPicture], scores: Sequence[float], how: str) -> None:
    pairs = list(zip(scores, pictures, strict=True))
    highest = max((p, picture.name) for p, picture in pairs if picture.label == "real")
    lowest = min((p, picture.name) for p, picture in pairs if picture.label == "fake")
    if not lowest[0] - highest[0] >= LEAST_GAP:
        raise CalibrationError(
            f"golden images must be clear cases: {highest[1]} (real) scores {highest[0]:.4f} and {lowest[1]} (fake) "
            f"{lowest[0]:.4f}{how}, less than {LEAST_GAP:g} apart. Choose others"
        )


def _picture(path: Path, label: Label, number: int) -> GoldenPicture:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem)[:60]
    stream = io.BytesIO()
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if image.format != "PNG":
                image.convert("RGB").save(stream, "PNG", optimize=True)
                content = stream.getvalue()
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise CalibrationError(f"golden image {path} cannot be read: {error}") from error
    if len(content) > MAX_IMAGE_BYTES:
        raise CalibrationError(f"golden image {path} takes over {MAX_IMAGE_BYTES} bytes as PNG; make it smaller")
    return GoldenPicture(f"{label.value}-{number}-{stem}.png", label.value, content)
