"""Regions of this deployment are removed, and only they."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.triton.shared_memory import SHM, region_prefix, remove_regions, start_time


@pytest.fixture
def neighbour() -> Iterator[Path]:
    """A region of somebody else, with a name as close to ours as it gets."""
    region = SHM / f"deepfake_{os.getpid()}_neighbour"
    region.write_bytes(b"mine")
    yield region
    region.unlink()


def test_regions_are_gone_when_the_context_ends(tmp_path: Path, neighbour: Path) -> None:
    with region_prefix(tmp_path) as prefix:
        region = SHM / f"{prefix}region"
        region.write_bytes(b"x")
    assert not region.exists()
    assert neighbour.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_next_start_removes_what_a_killed_deployment_left(tmp_path: Path, neighbour: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from deploy.triton.shared_memory import SHM, region_prefix\n"
        "with region_prefix(pathlib.Path(sys.argv[1])) as prefix:\n"
        "    (SHM / (prefix + 'region')).write_bytes(b'x')\n"
        "    print(prefix, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    left = SHM / f"{killed.stdout.strip()}region"
    assert left.exists()
    with region_prefix(tmp_path):
        assert not left.exists()
    assert neighbour.exists()


def test_a_living_deployment_keeps_its_regions(tmp_path: Path) -> None:
    with region_prefix(tmp_path) as first:
        region = SHM / f"{first}region"
        region.write_bytes(b"x")
        with region_prefix(tmp_path):
            assert region.exists()


def test_a_record_of_something_else_removes_nothing(tmp_path: Path, neighbour: Path) -> None:
    (tmp_path / "deepfake_0.json").write_text(json.dumps({"pid": 1, "started": -1, "prefix": ""}))
    (tmp_path / "deepfake_1.json").write_text("no json")
    with region_prefix(tmp_path):
        assert neighbour.exists()


def test_an_empty_prefix_matches_nothing(neighbour: Path) -> None:
    assert remove_regions("") == []
    assert neighbour.exists()


def test_start_times_tell_processes_apart() -> None:
    assert start_time(os.getpid()) == start_time(os.getpid())
    assert start_time(2**30) is None
