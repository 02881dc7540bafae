"""Releases: immutable folders named by the hash of what they hold, and the link that says which one is served.

releases/
  .keys/                            which release an export's checkpoint, settings and code gave: a cache
  5f0c.../                          one release
    release.json                    identity, description, SHA-256 of every file
    export_report.json              the gate's figures and timings
    golden/                         images and the scores they must get, where the checkpoint brings any
    MODEL_CARD.md                   the checkpoint's README.md, where it has one
    model_repository/               what Triton serves: preprocess, classifier, deepfake_detector
  current -> 5f0c...                switched by renaming a new link over it
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from pydantic import ValidationError

from deepfake_client.release import DESCRIPTION_PARAMETER, MANIFEST, ModelInfo, first_fault
from export.errors import CheckpointError, ReleaseError

CURRENT = "current"
REPOSITORY = "model_repository"
CARD = "MODEL_CARD.md"
COMPANIONS = ("golden", CARD)
"""What a release may hold beside its model repository; its hash covers them."""

_ID_DIGITS = 16
_KEYS = ".keys"
_PARTIAL = ".partial-"
_LOCK = ".lock"
_ENSEMBLE_CONFIG = "deepfake_detector/config.pbtxt"


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

    @cached_property
    def info(self) -> ModelInfo:
        """What the release says about itself to clients.

        Raises:
            ReleaseError: It was made by an older export, and clients would refuse it.
        """
        try:
            return ModelInfo.model_validate_json(served_description(self.manifest))
        except ValidationError as error:
            raise ReleaseError(f"{self.path}: {first_fault(error)}; export again") from error

    @property
    def repository(self) -> Path:
        """The model repository that Triton serves."""
        return self.path / REPOSITORY


def release_id_of(description: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """The hash that names a release: over its description and its files."""
    canonical = json.dumps({"description": description, "files": files}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_DIGITS]


def publish(partial: Path, releases_dir: Path, manifest: Mapping[str, Any], source_key: str) -> Release:
    """Gives a finished folder its final name; an identical release that is already there is kept.

    Args:
        partial: From `open_partial`.
        releases_dir: Where releases are kept.
        manifest: Content of release.json.
        source_key: Under which `find_release` is to find it.

    Raises:
        ReleaseError: The folder cannot be written.
    """
    target = releases_dir / str(manifest["release_id"])
    try:
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        (partial / MANIFEST).write_text(text, encoding="utf-8")
        _sync(partial)
        if not target.exists():
            partial.rename(target)
        _remember(releases_dir / _KEYS, source_key, target.name)
    except OSError as error:
        raise ReleaseError(f"cannot write the release {target}: {error.strerror}") from error
    return Release(target, manifest)


def _remember(keys: Path, source_key: str, release_id: str) -> None:
    keys.mkdir(exist_ok=True)
    temporary = keys / f".{source_key}-{os.getpid()}"
    temporary.write_text(release_id, encoding="utf-8")
    temporary.replace(keys / source_key)


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
        ReleaseError: There is none, it is damaged, or a link leads to a folder that is not named after it.
    """
    try:
        resolved = Path(os.path.realpath(path, strict=True))
        manifest = json.loads((resolved / MANIFEST).read_text(encoding="utf-8"))
        if manifest["release_id"] != release_id_of(manifest["description"], manifest["files"]):
            raise ReleaseError(f"{resolved}: {MANIFEST} does not match its own hash; export again")
    except OSError as error:
        raise ReleaseError(f"{path} holds no release: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{resolved}: {MANIFEST} is damaged ({error}); export again") from error
    if path.is_symlink() and resolved.name != manifest["release_id"]:
        raise ReleaseError(
            f"{path} leads to {resolved.name}, the folder of release {manifest['release_id']}: rename it"
        )
    return Release(resolved, manifest)


def verify_files(release: Release) -> None:
    """Checks every file of a release against its manifest, and what the ensemble tells clients, too.

    Raises:
        ReleaseError: A file is missing, changed, or was added.
    """
    expected = dict(release.manifest["files"])
    actual = hashed_files(release.path)
    wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    if not wrong:
        parameters = read_config(release.repository / _ENSEMBLE_CONFIG).parameters
        if parameters[DESCRIPTION_PARAMETER].string_value != served_description(release.manifest):
            wrong = [_ENSEMBLE_CONFIG]
    if wrong:
        raise ReleaseError(
            f"release {release.path.name} is damaged ({', '.join(wrong[:3])}): delete the folder and export again"
        )


def hashed_files(folder: Path) -> dict[str, str]:
    """The digests that a release's hash covers: its model repository by names in there, and its companions.

    The ensemble's config counts without the description it carries, which holds the release's own name. Servers'
    bytecode caches do not count.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] in (REPOSITORY, *COMPANIONS) and path.parent.name != "__pycache__":
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            digests[name.as_posix().removeprefix(f"{REPOSITORY}/")] = digest
    if _ENSEMBLE_CONFIG in digests:
        config = read_config(folder / REPOSITORY / _ENSEMBLE_CONFIG)
        config.parameters.pop(DESCRIPTION_PARAMETER, None)
        digests[_ENSEMBLE_CONFIG] = hashlib.sha256(config.SerializeToString(deterministic=True)).hexdigest()
    return digests


def served_description(manifest: Mapping[str, Any]) -> str:
    """What the ensemble's config says about the release to clients: a JSON object."""
    return json.dumps({**manifest["description"], "release_id": manifest["release_id"]}, sort_keys=True)


def find_release(releases_dir: Path, source_key: str) -> Release | None:
    """The release that the same checkpoint, settings and code gave before, if it is still there."""
    try:
        return read_release(releases_dir / (releases_dir / _KEYS / source_key).read_text(encoding="utf-8"))
    except (OSError, ValueError, ReleaseError):
        return None


def own_file(checkpoint: Path, name: str) -> Path | None:
    """A file of a checkpoint; None where there is no such regular file.

    Raises:
        CheckpointError: It is a link that leaves the checkpoint's folder: what it leads to would be published with the
            release. A snapshot of the hub's cache consists of links; they may lead to the blobs of its repository.
    """
    file, home = checkpoint / name, checkpoint.resolve()
    if not file.is_file():
        return None
    repository = home.parent.parent
    if home.parent.name == "snapshots" and (repository / "blobs").is_dir():
        home = repository
    if not file.resolve().is_relative_to(home):
        raise CheckpointError(f"{file} is a link that leads out of {home}; put the file itself there")
    return file


@contextmanager
def open_partial(releases_dir: Path) -> Iterator[Path]:
    """An empty folder beside the releases, on the same file system, in which one is assembled; gone in the end.

    Folders that killed exports left behind are removed: no process holds their lock.

    Raises:
        ReleaseError: The directory cannot be written.
    """
    try:
        releases_dir.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(releases_dir)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=releases_dir))
        partial.chmod(0o755)
        lock = partial.with_name(partial.name + _LOCK).open("w")
    except OSError as error:
        raise ReleaseError(f"cannot write to {releases_dir}: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            Path(lock.name).unlink(missing_ok=True)


def _remove_abandoned(releases_dir: Path) -> None:
    for path in releases_dir.glob(f"{_PARTIAL}*{_LOCK}"):
        with contextlib.suppress(OSError), path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.with_name(path.name.removesuffix(_LOCK)), ignore_errors=True)
            path.unlink(missing_ok=True)


def model_process_count(repository: Path) -> int:
    """How many processes Triton's Python backend runs for a repository: one per instance of its models."""
    configs = [read_config(path) for path in sorted(repository.glob("*/config.pbtxt"))]
    return sum(group.count for config in configs if config.backend == "python" for group in config.instance_group)


def read_config(path: Path) -> Any:
    """A config.pbtxt as Triton's ModelConfig message.

    Raises:
        ReleaseError: The file is missing or damaged.
    """
    from tritonclient.grpc import model_config_pb2

    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ReleaseError(f"{path.parent.name}/{path.name} cannot be read: {error}") from error


def warmed_batches(repository: Path) -> tuple[int, ...]:
    """The batch sizes that a repository's classifiers are warmed with, in order."""
    configs = [read_config(folder / "config.pbtxt") for folder in classifier_folders(repository)]
    return tuple(sorted({int(entry.batch_size) for config in configs for entry in config.model_warmup}))


def classifier_folders(repository: Path) -> list[Path]:
    """The entry `classifier` of a repository, or those of its several classifiers, in order."""
    several = {path for path in repository.glob("classifier_*") if path.is_dir()}
    return sorted(several, key=lambda path: int(path.name.rpartition("_")[2])) or [repository / "classifier"]
