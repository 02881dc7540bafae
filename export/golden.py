"""Golden images: a few pictures that ship with a checkpoint, and the scores it must give them wherever it is served.

    golden/
      golden.json      {"images": [{"file": "real-1.png", "label": "real", "fake_probability": 0.08, ...}, ...]}
      real-1.png

The export refuses a checkpoint, and the deployment a release, that scores them otherwise: labels in the wrong order,
weights of another model or a broken runtime show here, whatever ready flags say.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deepfake_client.release import first_fault
from export.errors import GoldenError
from export.release import own_file

FOLDER = "golden"
MANIFEST = "golden.json"
DEFAULT_TOLERANCE = 0.01
"""Room for another machine's face detector and arithmetic; a release adds what its precision promises."""

MAX_IMAGES = 16  # all of them in one request, at every start
MAX_IMAGE_BYTES = 2**20
_PNG = b"\x89PNG\r\n\x1a\n"


class GoldenEntry(BaseModel):
    """One image and what it must score.

    Attributes:
        file: Name of a PNG file beside `golden.json`.
        label: What it shows. Every real one must score below every fake one.
        fake_probability: 0-1, by the checkpoint in fp32.
        without_face_detection: The same with face detection off; as `fake_probability` where it is not given.
        tolerance: Largest |difference| that passes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.png$")
    label: Literal["real", "fake"]
    fake_probability: float = Field(ge=0, le=1)
    without_face_detection: float | None = Field(default=None, ge=0, le=1)
    tolerance: float = Field(default=DEFAULT_TOLERANCE, gt=0, le=0.5)


class GoldenManifest(BaseModel):
    """The content of `golden.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: tuple[GoldenEntry, ...] = Field(min_length=2, max_length=MAX_IMAGES)

    @model_validator(mode="after")
    def _tells_apart(self) -> Self:
        if len({entry.file for entry in self.images}) != len(self.images):
            raise ValueError("a file is named twice")
        if {entry.label for entry in self.images} != {"real", "fake"}:
            raise ValueError("it takes at least one real and one fake image")
        expected = [entry.fake_probability for entry in self.images]
        if fault := _wrong_order(self.images, expected):
            raise ValueError(fault)
        return self


@dataclass(frozen=True)
class GoldenSet:
    """Golden images in memory.

    Attributes:
        manifest: What they must score.
        images: The PNG files, in the manifest's order.
    """

    manifest: GoldenManifest
    images: tuple[bytes, ...]

    def mismatch(self, scores: Sequence[float | str]) -> str:
        """Why scores are not those that were recorded; "" if they are.

        Args:
            scores: In the manifest's order, each a fake probability, or the name of the status it failed with.
        """
        entries = self.manifest.images
        for entry, score in zip(entries, scores, strict=True):
            if isinstance(score, str):
                return f"golden image {entry.file} was not scored: {score}"
        p = [float(score) for score in scores]
        for entry, score in zip(entries, p, strict=True):
            if not abs(score - entry.fake_probability) <= entry.tolerance:
                return (
                    f"golden image {entry.file} ({entry.label}) scores {score:.4f} where "
                    f"{entry.fake_probability:.4f} +- {entry.tolerance:.4f} is recorded{self._hint(p)}"
                )
        return _wrong_order(entries, p)

    def for_release(self, *, face_detection: bool, precision_tolerance: float) -> "GoldenSet":
        """The same with what a release must score: by its face detection, within what its precision promises."""
        entries = []
        for entry in self.manifest.images:
            whole = entry.without_face_detection
            p = entry.fake_probability if face_detection or whole is None else whole
            tolerance = min(entry.tolerance + precision_tolerance, 0.5)
            entries.append(GoldenEntry(file=entry.file, label=entry.label, fake_probability=p, tolerance=tolerance))
        try:
            return GoldenSet(GoldenManifest(images=tuple(entries)), self.images)
        except ValidationError as error:
            raise GoldenError(
                f"the golden images cannot be used without face detection: {first_fault(error)}"
            ) from error

    def write(self, folder: Path) -> None:
        """Writes into an empty folder, which is made if needed."""
        folder.mkdir(exist_ok=True)
        for entry, image in zip(self.manifest.images, self.images, strict=True):
            (folder / entry.file).write_bytes(image)
        text = json.dumps(self.manifest.model_dump(exclude_none=True), indent=1)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def _hint(self, p: Sequence[float]) -> str:
        turned = all(
            abs(1 - score - entry.fake_probability) <= entry.tolerance
            for score, entry in zip(p, self.manifest.images, strict=True)
        )
        return "; fake and real look swapped: check id2label in config.json, or --fake-labels" if turned else ""


def read_golden(checkpoint_or_release: Path) -> GoldenSet | None:
    """The golden images in the folder `golden`; None where there is none.

    Raises:
        GoldenError: They are damaged, or not what `golden.json` may say.
        CheckpointError: One is a link that leaves the directory.
    """
    folder = checkpoint_or_release / FOLDER
    if not folder.is_dir():
        return None
    try:
        manifest = GoldenManifest.model_validate_json((folder / MANIFEST).read_bytes())
        names = [f"{FOLDER}/{entry.file}" for entry in manifest.images]
        images = tuple(_read_png(own_file(checkpoint_or_release, n) or checkpoint_or_release / n) for n in names)
    except ValidationError as error:
        raise GoldenError(f"{folder / MANIFEST}: {first_fault(error)}") from error
    except OSError as error:
        raise GoldenError(f"{error.filename or folder}: {error.strerror}") from error
    return GoldenSet(manifest, images)


def _read_png(path: Path) -> bytes:
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise GoldenError(f"{path} holds over {MAX_IMAGE_BYTES} bytes; golden images are small")
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise GoldenError(f"{path} is no PNG file; golden images are PNG files, which all decoders read alike")
    return content


def _wrong_order(entries: Sequence[GoldenEntry], p: Sequence[float]) -> str:
    """Why the real ones do not all score below the fake ones, or ""."""
    scored = list(zip(p, entries, strict=True))
    real, real_file = max((score, entry.file) for score, entry in scored if entry.label == "real")
    fake, fake_file = min((score, entry.file) for score, entry in scored if entry.label == "fake")
    if real < fake:
        return ""
    return f"golden image {real_file} (real) scores {real:.4f}, not below {fake_file} (fake) with {fake:.4f}"
