"""The list of photographs: which package holds them, who is on them, on which side of the split they lie."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from training.errors import DatasetError

DEBIAN_RELEASE = "bookworm"  # Debian 12
MANIFEST = Path(__file__).with_name("photos.json")
MORE = Path(__file__).with_name("more_photos.json")
"""Portraits and groups to measure false alarms on; nothing is trained on them."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or ".." in parts or path.startswith("/"):
        raise ValueError("a path inside an archive has a folder, no '..' and no leading '/'")
    return path


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listed(_Entry):
    """A file inside a package, or a rectangle of it.

    Attributes:
        path: Inside the archive, from its root.
        sha256: SHA-256 of the file, in hexadecimal.
        kind: A photograph with a clear face, one without, a video of one person, several people, or weights.
        person: Whose face is the largest; None for scenes and groups.
        split: The side it lies on.
        crop: Left, top, right and bottom in pixels of the stored file: one person out of a group; None for all of it.
    """

    path: Annotated[str, AfterValidator(_inside)]
    sha256: str
    kind: Literal["face", "scene", "video", "group", "weights"]
    person: str | None = None
    split: Literal["train", "val", "test"]
    crop: tuple[int, int, int, int] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind in ("scene", "group", "weights")) != (self.person is None):
            raise ValueError("a scene, a group and weights have no person, everything else has one")
        if self.crop and not (0 <= self.crop[0] < self.crop[2] and 0 <= self.crop[1] < self.crop[3]):
            raise ValueError("a crop has its right and lower edge beyond its left and upper one")
        return self

    @property
    def original_name(self) -> str:
        """File name of the file as the package has it: its path, flattened."""
        return "-".join(PurePosixPath(self.path).parts[1:])

    @property
    def name(self) -> str:
        """File name of what training reads: the file itself, or its crop as PNG."""
        if self.crop is None:
            return self.original_name
        return f"{Path(self.original_name).stem}-at-{self.crop[0]}-{self.crop[1]}.png"


class Package(_Entry):
    """A published package and the files used of it.

    Attributes:
        registry: Where it is published, and in which form.
        name: As published.
        version: Exact; for Debian the release, since a point release may rebuild a package.
        integrity: Checksum of the archive: "sha512-" with base64, as npm states it, or "sha256:" in hexadecimal.
            Empty for Debian: apt checks the signature, and each file has a checksum of its own.
        licence: As the package states it, and for whom where that is known.
        files: What is used of it.
    """

    registry: Literal["npm", "pypi-wheel", "pypi-sdist", "debian"]
    name: str
    version: str
    integrity: str = ""
    licence: str
    files: tuple[Listed, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.registry == "debian" and (self.version != DEBIAN_RELEASE or self.integrity):
            raise ValueError(f"{self.name}: a Debian package has the version {DEBIAN_RELEASE} and no integrity")
        if self.registry != "debian" and not self.integrity:
            raise ValueError(f"{self.name}: the archive's integrity is missing")
        return self

    @property
    def source(self) -> str:
        """Registry, name and version in one word."""
        return f"{self.registry}:{self.name}@{self.version}"

    @property
    def folder_name(self) -> str:
        """A folder name for its files."""
        return f"{self.name.replace('@', '').replace('/', '-')}-{self.version}"


class _Manifest(_Entry):
    note: str = ""
    packages: tuple[Package, ...]


def load_manifest(path: Path = MANIFEST) -> tuple[Package, ...]:
    """Reads a list of photographs.

    Raises:
        DatasetError: It cannot be read, or an entry lacks something or has a value that is not foreseen.
    """
    try:
        return _Manifest.model_validate_json(path.read_bytes()).packages
    except OSError as error:
        raise DatasetError(f"cannot read the list of photographs {path}: {error}") from error
    except ValidationError as error:
        raise DatasetError(f"{path} is not a list of photographs: {error.errors()[0]['msg']}") from error
