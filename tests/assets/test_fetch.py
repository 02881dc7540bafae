import hashlib
import zipfile
from pathlib import Path

import pytest

from assets import ALL_ASSETS, Asset, AssetError, default_cache_dir, fetch, fetch_assets

CONTENT = b"a model"


def asset(content: bytes = CONTENT, name: str = "model.bin") -> Asset:
    return Asset(name, "package==1.0", "3.11", f"package/{name}", hashlib.sha256(content).hexdigest(), "MIT")


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces pip by a wheel made here; lists what was asked for."""
    asked: list[str] = []

    def download(requirement: str, _python_tag: str, scratch: Path) -> Path:
        asked.append(requirement)
        wheel = scratch / "package.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("package/model.bin", CONTENT)
            archive.writestr("package/other.bin", b"other")
        return wheel

    monkeypatch.setattr(fetch, "_download_wheel", download)
    return asked


def test_a_file_is_fetched_checked_and_readable_by_others(downloads: list[str], tmp_path: Path) -> None:
    path = fetch_assets([asset()], tmp_path)["model.bin"]
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o644
    assert downloads == ["package==1.0"]


def test_a_user_without_a_home_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("DEEPFAKE_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(AssetError, match="has no home folder: set DEEPFAKE_CACHE_DIR"):
        default_cache_dir()


def test_one_download_serves_all_files_of_a_package(downloads: list[str], tmp_path: Path) -> None:
    paths = fetch_assets([asset(), asset(b"other", "other.bin")], tmp_path)
    assert paths["other.bin"].read_bytes() == b"other"
    assert len(downloads) == 1


def test_a_cached_file_is_not_fetched_again(downloads: list[str], tmp_path: Path) -> None:
    first = fetch_assets([asset()], tmp_path)
    assert fetch_assets([asset()], tmp_path) == first
    assert len(downloads) == 1


@pytest.mark.parametrize("damage", [b"", b"a modem", b"a model and more"])
def test_a_corrupt_cached_file_is_replaced(downloads: list[str], tmp_path: Path, damage: bytes) -> None:
    path = fetch_assets([asset()], tmp_path)["model.bin"]
    path.write_bytes(damage)
    assert fetch_assets([asset()], tmp_path)["model.bin"].read_bytes() == CONTENT
    assert len(downloads) == 2


def test_a_file_with_another_checksum_is_refused_and_not_kept(downloads: list[str], tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="SHA-256"):
        fetch_assets([asset(b"what it should be")], tmp_path)
    assert downloads
    assert list((tmp_path / "assets").iterdir()) == []


def test_a_wheel_without_the_file(downloads: list[str], tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"none\.bin"):
        fetch_assets([asset(name="none.bin")], tmp_path)
    assert downloads


def test_an_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(AssetError, match=r"cannot fetch package==1\.0 with pip"):
        fetch_assets([asset()], tmp_path)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEEPFAKE_CACHE_DIR", raising=False)
    assert default_cache_dir() == tmp_path / "deepfake-serving"
    monkeypatch.setenv("DEEPFAKE_CACHE_DIR", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"


def test_the_catalogue_pins_everything() -> None:
    assert len({asset.name for asset in ALL_ASSETS}) == len(ALL_ASSETS)
    for entry in ALL_ASSETS:
        assert len(entry.sha256) == 64
        assert "==" in entry.requirement
        assert entry.licence
        assert entry.member.endswith(entry.name)
