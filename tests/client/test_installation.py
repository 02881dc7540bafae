"""The client as somebody else installs it: its wheel, and the command in an environment that holds nothing else."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.media import VideoSpec, photo, write_video
from tests.service import ROOT, Service

PACKAGE = ROOT / "client" / "deepfake_client"
INTERPRETERS = ("3.10", "3.11", "3.13")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as building writes beside the source."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT / "client", folder / "client", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(command, check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = {
        f"deepfake_client/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == source


def test_the_wheel_says_what_it_needs_and_brings_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        said = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    metadata = Parser().parsestr(said["METADATA"])
    assert (metadata["Name"], metadata["Requires-Python"]) == ("deepfake-client", ">=3.10")
    assert not [one for one in metadata.get_all("Requires-Dist", []) if one.startswith(("torch", "flask", "onnx"))]
    assert "deepfake-detect = deepfake_client.batch.cli:main" in said["entry_points.txt"]


def interpreter(version: str) -> Path:
    """A Python of this version; skips the test where there is none."""
    if sys.version.startswith(f"{version}."):
        return Path(sys.executable)
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python{version}"))
    found = [*beside, *filter(None, [shutil.which(f"python{version}")])]
    if not found:
        pytest.skip(f"there is no Python {version} here")
    return Path(found[0])


@pytest.mark.long
@pytest.mark.parametrize("version", INTERPRETERS)
def test_the_command_detects_from_an_environment_of_its_own(
    version: str, wheel: Path, service: Service, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([interpreter(version), "-m", "venv", tmp_path / "venv"], check=True, env=environment, timeout=120)
    programs = tmp_path / "venv" / "bin"
    install = [programs / "python", "-m", "pip", "install", "-q", "--only-binary", ":all:", wheel]
    subprocess.run(install, check=True, env=environment, timeout=400)
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(photo("astronaut.png"), media)
    write_video(media / "clip.mp4", VideoSpec(10))
    done = subprocess.run(
        [programs / "deepfake-detect", "--url", service.grpc, "--format", "jsonl", media],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["file"]).name for row in rows] == ["astronaut.png", "clip.mp4"]
    assert all(0 <= row["confidence_score"] <= 1 for row in rows)
