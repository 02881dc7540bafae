"""The lists of photographs: which package holds them, who is on them, on which side of the split they lie."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from training.errors import DatasetError

Kind = Literal["face", "scene", "video"]
Split = Literal["train", "val", "test", "development"]
Registry = Literal["npm", "pypi-wheel", "pypi-sdist", "debian"]
DEBIAN_RELEASE = "bookworm"  # Debian 12

TRAINING_MANIFEST = Path(__file__).with_name("photos.json")
DEVELOPMENT_MANIFEST = Path(__file__).with_name("photos_development.json")


@dataclass(frozen=True)
class Listed:
    """A file inside a package, or a rectangle of it.

    Attributes:
        path: Inside the archive, from its root.
        sha256: Of the file, in hexadecimal.
        kind: A photograph with a clear face, one without, or a video of one person.
        person: Whose face is the largest; None for scenes.
        split: The side it lies on.
        crop: Left, top, right and bottom in pixels of the stored file: one person out of a group; None for all of it.
    """

    path: str
    sha256: str
    kind: Kind
    person: str | None
    split: Split
    crop: tuple[int, int, int, int] | None

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


@dataclass(frozen=True)
class Package:
    """A published package and the files used of it.

    Attributes:
        registry: Where it is published, and in which form.
        name: As published.
        version: Exact; for Debian the release, since a point release may rebuild a package.
        integrity: Of the archive: "sha512-" with base64 as npm states it, or "sha256:" with hexadecimal digits.
            Empty for Debian: apt checks the signature, and each file has a checksum of its own.
        licence: As the package states it, and for whom where that is known.
        files: What is used of it.
    """

    registry: Registry
    name: str
    version: str
    integrity: str
    licence: str
    files: tuple[Listed, ...]

    @property
    def source(self) -> str:
        """Registry, name and version in one word."""
        return f"{self.registry}:{self.name}@{self.version}"

    @property
    def folder_name(self) -> str:
        """A folder name for its files."""
        return f"{self.name.replace('@', '').replace('/', '-')}-{self.version}"


def load_manifest(path: Path) -> tuple[Package, ...]:
    """Reads a manifest.

    Raises:
        DatasetError: It cannot be read, or an entry lacks something or has a value that is not foreseen.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_package(entry) for entry in document["packages"])
    except OSError as error:
        raise DatasetError(f"cannot read the list of photographs {path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a list of photographs: {error!r}") from error


def _package(entry: dict[str, Any]) -> Package:
    if entry["registry"] not in get_args(Registry):
        raise ValueError(f"registry {entry['registry']}")
    files = tuple(_listed(item) for item in entry["files"])
    integrity = _integrity(entry)
    return Package(entry["registry"], entry["name"], entry["version"], integrity, entry["licence"], files)


def _integrity(entry: dict[str, Any]) -> str:
    if entry["registry"] != "debian":
        return str(entry["integrity"])
    if entry["version"] != DEBIAN_RELEASE or "integrity" in entry:
        raise ValueError(f"{entry['name']}: a Debian package has the version {DEBIAN_RELEASE} and no integrity")
    return ""


def _listed(item: dict[str, Any]) -> Listed:
    if item["kind"] not in get_args(Kind) or item["split"] not in get_args(Split):
        raise ValueError(f"kind or split of {item['path']}")
    if (item["kind"] == "scene") != (item.get("person") is None):
        raise ValueError(f"{item['path']}: a scene has no person, everything else has one")
    parts = PurePosixPath(item["path"]).parts
    if len(parts) < 2 or ".." in parts or item["path"].startswith("/"):
        raise ValueError(f"path {item['path']}")
    crop: tuple[int, int, int, int] | None = None
    if item.get("crop") is not None:
        left, top, right, bottom = (int(value) for value in item["crop"])
        if not (0 <= left < right and 0 <= top < bottom):
            raise ValueError(f"crop of {item['path']}")
        crop = (left, top, right, bottom)
    return Listed(item["path"], item["sha256"], item["kind"], item.get("person"), item["split"], crop)
