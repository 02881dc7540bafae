"""The files in examples/ run as they are against a running service; only the addresses are those of the test's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from assets import SAMPLE_PHOTOS, fetch_assets
from tests.ray_cluster import ray_cluster, ray_environment
from tests.service import ROOT, Service

EXAMPLES = ROOT / "examples"


@pytest.fixture
def copy(service: Service, tmp_path: Path) -> Path:
    """A folder with examples/ in it, whose programs talk to the running service."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    for path in (tmp_path / "examples").glob("*[!g4]"):
        if path.is_file():
            text = path.read_text("utf-8")
            text = text.replace("127.0.0.1:5000", f"127.0.0.1:{service.port}").replace("localhost:8001", service.grpc)
            path.write_text(text, "utf-8")
    return tmp_path


def run(folder: Path, *command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env=env or {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(copy: Path) -> None:
    printed = run(copy, "examples/curl.sh")
    assert '"status":"healthy"' in printed.replace(" ", "")
    assert printed.count('"confidence_score"') == 2


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_node(copy: Path) -> None:
    assert run(copy, "node", "examples/node_client.mjs").strip().endswith("faces")


@pytest.mark.long
def test_ray(copy: Path) -> None:
    with ray_cluster() as cluster:
        env = ray_environment() | {"RAY_ADDRESS": cluster.address}
        printed = run(copy, sys.executable, "examples/ray_batch.py", env=env)
    assert sorted(line.split()[0] for line in printed.splitlines()) == [
        "examples/astronaut.mp4", "examples/astronaut.png",
    ]  # fmt: skip


def test_the_photo_is_the_public_domain_one_and_the_clip_takes_two_seconds() -> None:
    photo = fetch_assets([asset for asset in SAMPLE_PHOTOS if asset.name == "astronaut.png"])["astronaut.png"]
    assert (EXAMPLES / "astronaut.png").read_bytes() == photo.read_bytes()
    with av.open(str(EXAMPLES / "astronaut.mp4")) as clip:
        assert (clip.duration, sum(1 for _ in clip.decode(video=0))) == (2_000_000, 50)


def test_the_snippet_of_the_readme_is_the_file_and_so_runs_with_its_blocks() -> None:
    program = (EXAMPLES / "python_client.py").read_text("utf-8")
    assert f"```python\n{program}```" in (ROOT / "README.md").read_text("utf-8")
