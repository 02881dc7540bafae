"""Releases: immutable folders named by the hash of what they hold, and the link that says which one is served.

releases/
  5f0c.../                          one release
    release.json                    identity, description, SHA-256 of every file
    export_report.json              the gate's figures and timings
    model_repository/               what Triton serves: preprocess, classifier, deepfake_detector
  current -> 5f0c...                switched by renaming a new link over it
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ReleaseError

CURRENT = "current"
MANIFEST = "release.json"
REPOSITORY = "model_repository"
_ID_DIGITS = 16
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Release:
    """A complete release on disk.

    Attributes:
        path: Its folder.
        manifest: The content of release.json.
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def release_id(self) -> str:
        """The hash that names the folder."""
        return str(self.manifest["release_id"])

    @property
    def repository(self) -> Path:
        """The model repository that Triton serves."""
        return self.path / REPOSITORY


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its relative path; other servers' bytecode caches do not count."""
    digests = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__"):
        with path.open("rb") as stream:
            digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def release_id_of(description: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """The hash that names a release: over its description and its files."""
    canonical = json.dumps({"description": description, "files": files}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_DIGITS]


def publish(partial: Path, releases_dir: Path, manifest: Mapping[str, Any]) -> Release:
    """Gives a finished folder its final name; an identical release that is already there is kept.

    Raises:
        ReleaseError: The folder cannot be written.
    """
    target = releases_dir / str(manifest["release_id"])
    try:
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        (partial / MANIFEST).write_text(text, encoding="utf-8")
        _sync(partial)
        if target.exists():
            shutil.rmtree(partial)
        else:
            partial.rename(target)
    except OSError as error:
        raise ReleaseError(f"cannot write the release {target}: {error.strerror}") from error
    return Release(target, manifest)


def _sync(folder: Path) -> None:
    """Flushes files to disk before the rename that makes them visible."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def promote(release: Release) -> None:
    """Makes a release the current one, atomically.

    Raises:
        ReleaseError: The link cannot be written.
    """
    link = release.path.parent / CURRENT
    temporary = release.path.parent / f".{CURRENT}-{os.getpid()}"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(release.path.name)
        temporary.replace(link)
    except OSError as error:
        raise ReleaseError(f"cannot make {release.path} the current release: {error.strerror}") from error


def read_release(path: Path) -> Release:
    """Reads a release's manifest.

    Raises:
        ReleaseError: There is none, or it is damaged.
    """
    resolved = path.resolve()
    try:
        manifest = json.loads((resolved / MANIFEST).read_text(encoding="utf-8"))
        if manifest["release_id"] != release_id_of(manifest["description"], manifest["files"]):
            raise ReleaseError(f"{resolved}: {MANIFEST} does not match its own hash; export again")
    except OSError as error:
        raise ReleaseError(f"{resolved} holds no release: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{resolved}: {MANIFEST} is damaged ({error}); export again") from error
    return Release(resolved, manifest)


def verify_files(release: Release) -> None:
    """Checks every file of a release against its manifest.

    Raises:
        ReleaseError: A file is missing, changed, or was added.
    """
    expected = dict(release.manifest["files"])
    # The ensemble's config carries the description, which holds the release's own name, so it is not hashed.
    actual = hashed_files(release.path)
    wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    if wrong:
        raise ReleaseError(
            f"release {release.path.name} is damaged ({', '.join(wrong[:3])}): delete the folder and export again"
        )


def hashed_files(folder: Path) -> dict[str, str]:
    """The digests that a release's hash covers: its model repository without the ensemble's generated config."""
    digests = file_digests(folder / REPOSITORY)
    return {name: value for name, value in digests.items() if name != "deepfake_detector/config.pbtxt"}


def find_release(releases_dir: Path, source_key: str) -> Release | None:
    """A release made from the same checkpoint, settings and code, if there is one."""
    for manifest in sorted(releases_dir.glob(f"*/{MANIFEST}")):
        if manifest.parent.is_symlink() or manifest.parent.name.startswith("."):
            continue
        try:
            release = read_release(manifest.parent)
        except ReleaseError:
            continue
        if release.manifest.get("source_key") == source_key:
            return release
    return None


def make_partial(releases_dir: Path) -> Path:
    """An empty folder beside the releases, on the same file system, in which one is assembled.

    Folders that killed exports left behind are removed.

    Raises:
        ReleaseError: The directory cannot be written.
    """
    try:
        releases_dir.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(releases_dir.glob(f"{_PARTIAL}*"))
        partial = releases_dir / f"{_PARTIAL}{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
    except OSError as error:
        raise ReleaseError(f"cannot write to {releases_dir}: {error.strerror}") from error
    return partial


def _remove_abandoned(partials: Iterable[Path]) -> None:
    for partial in partials:
        pid = partial.name.removeprefix(_PARTIAL)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(partial, ignore_errors=True)
