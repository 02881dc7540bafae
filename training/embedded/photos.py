"""Fetches the listed photographs with the registries' own clients, and checks them by checksum."""

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.embedded.manifest import DEBIAN_RELEASE, MANIFEST, Listed, Package, load_manifest
from training.errors import DatasetError

_TIMEOUT_S = 900
_ADVICE: dict[str, str] = {
    "npm": "install Node.js with npm (on Debian: apt-get install npm)",
    "pypi-wheel": "run this with a Python interpreter that has pip",
    "pypi-sdist": "run this with a Python interpreter that has pip",
    "debian": f"use Debian 12 ({DEBIAN_RELEASE}), after apt-get update",
}
# pip does not take a wheel for an older manylinux where only a newer one is named.
_WHEEL_OPTIONS = [
    "--only-binary=:all:",
    *("--python-version", "3.11"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64"),
]


@dataclass(frozen=True)
class Photo:
    """A fetched file.

    Attributes:
        path: Where it lies: JPEG, PNG or PPM, or MP4 for a video; the checked file, or as PNG a rectangle of it.
        kind: "face", "scene", "video" or "group", as in the list.
        person: Whose face is the largest; None for scenes and groups. Never on two sides of the split.
        split: "train", "val" or "test".
    """

    path: Path
    kind: str
    person: str | None
    split: str


def fetch_photos(folder: Path, manifest: Path = MANIFEST) -> list[Photo]:
    """Makes the listed photographs available; what lies there with the right checksum is not fetched again.

    Args:
        folder: Where they are kept, one folder a package; made if needed.
        manifest: The list.

    Returns:
        One entry for each photograph, in the list's order.

    Raises:
        DatasetError: The list is faulty, a client is missing, a registry cannot be reached, or a checksum differs.
            What was fetched before stays.
    """
    photos: list[Photo] = []
    for package in load_manifest(manifest):
        target = folder / package.folder_name
        if not all(_is_there(target, listed) for listed in package.files):
            _fetch_package(package, target)
        photos += [Photo(target / one.name, one.kind, one.person, one.split) for one in package.files]
    return photos


def _is_there(target: Path, listed: Listed) -> bool:
    original = target / listed.original_name
    if not original.is_file() or hashlib.sha256(original.read_bytes()).hexdigest() != listed.sha256:
        return False
    return (target / listed.name).is_file()


def _fetch_package(package: Package, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="deepfake-photos-") as scratch:
        archive = _fetch_archive(package, Path(scratch))
        try:
            contents = _read_members(archive, sorted({listed.path for listed in package.files}))
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
            if listed.crop is not None:
                (target / listed.name).write_bytes(_cropped(contents[listed.path], listed.crop))
        for listed in package.files:  # last: a file that has its checksum says that its crops are whole
            (target / listed.original_name).write_bytes(contents[listed.path])
    except OSError as error:
        raise DatasetError(f"cannot keep photographs in {target}: {error}") from error


def _release_note(package: Package) -> str:
    if package.registry != "debian":
        return ""
    return f"; {package.name} is listed as Debian 12 ({package.version}) has it: run this on that release"


def _cropped(content: bytes, crop: tuple[int, int, int, int]) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        rectangle = image.convert("RGB").crop(crop)
    buffer = io.BytesIO()
    rectangle.save(buffer, "PNG")
    return buffer.getvalue()


def _fetch_archive(package: Package, scratch: Path) -> Path:
    """Downloads the package's archive and checks it.

    Args:
        package: Which one.
        scratch: An empty folder; the archive is left there.

    Raises:
        DatasetError: The client is missing, the registry cannot be reached, or the archive is another one. The archive
            of a Debian package is left to apt, which checks its signature.
    """
    if package.registry == "debian":
        command = ["apt-get", "download", "--quiet", package.name]
    elif package.registry == "npm":
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    else:
        command = _pip_command(package, scratch)
    _run(command, package, scratch)
    archives = [path for path in scratch.iterdir() if path.suffix in (".tgz", ".gz", ".whl", ".deb")]
    if len(archives) != 1:
        raise DatasetError(f"{package.source}: {command[0]} left {len(archives)} archives, expected one")
    if package.registry != "debian":
        _check_integrity(archives[0], package)
    return archives[0]


def _check_integrity(archive: Path, package: Package) -> None:
    """Compares the archive with what the manifest states.

    Raises:
        DatasetError: It is another archive.
    """
    content = archive.read_bytes()
    if package.integrity.startswith("sha512-"):
        actual = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    else:
        actual = "sha256:" + hashlib.sha256(content).hexdigest()
    if actual != package.integrity:
        raise DatasetError(
            f"{package.source} has the checksum {actual}, expected {package.integrity}: the registry serves another "
            "archive than the one listed; do not use it"
        )


def _read_members(archive: Path, paths: list[str]) -> dict[str, bytes]:
    """Contents of the named regular files; nothing is written to disk.

    Raises:
        DatasetError: The archive is damaged, or does not hold one of them as a regular file.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return {path: wheel.read(path) for path in paths}
        if archive.suffix == ".deb":
            with tarfile.open(fileobj=io.BytesIO(_unpack_deb(archive))) as tree:
                return {path: _read_tar_member(tree, f"./{path}") for path in paths}
        with tarfile.open(archive, "r:gz") as ball:
            return {path: _read_tar_member(ball, path) for path in paths}
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot read the listed files of {archive.name}: {error}") from error


def _read_tar_member(ball: tarfile.TarFile, path: str) -> bytes:
    member = ball.getmember(path)
    stream = ball.extractfile(member) if member.isreg() else None
    if stream is None:
        raise KeyError(f"{path} is not a regular file")
    return stream.read()


def _unpack_deb(archive: Path) -> bytes:
    """The files of a Debian package as one tar archive; the package's scripts are not run."""
    try:
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise DatasetError(f"cannot read the listed files of {archive.name}: dpkg-deb failed: {error}") from error
    return done.stdout


def _pip_command(package: Package, scratch: Path) -> list[str]:
    # pip asks a source package for its metadata, which runs its code; given the hash, it first refuses another archive.
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash={package.integrity}\n", encoding="utf-8")
    form = _WHEEL_OPTIONS if package.registry == "pypi-wheel" else ["--no-binary", package.name]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    return [*pip, "--require-hashes", *form, "--dest", str(scratch), "--requirement", str(requirement)]


def _run(command: list[str], package: Package, folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (FileNotFoundError, PermissionError) as error:
        raise DatasetError(
            f"{command[0]} is not installed, and {package.source} is fetched with it: {_ADVICE[package.registry]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DatasetError(f"fetching {package.source} took more than {_TIMEOUT_S} s: try again later") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no reason given")
        client = {"npm": "npm", "debian": "apt-get"}.get(package.registry, "pip")
        if package.registry == "debian":
            reason += f"; {_ADVICE['debian']}"
        raise DatasetError(f"{client} cannot fetch {package.source} (is its registry reachable?): {reason}")
