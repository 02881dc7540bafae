"""TRITON_SERVER_DIR: a server installed as in NVIDIA's image, made here of the wheel's own files."""

import os
import sys
from pathlib import Path

import pytest

from deepfake_client import create_detector
from deploy.errors import PreflightError
from deploy.triton.program import find_server, find_wheel, server_environment
from export.release import Release
from tests.deploy.test_triton_container import run_container
from tests.media import photo


@pytest.fixture
def image_server(tmp_path: Path) -> Path:
    """opt/tritonserver with bin, backends and caches; the stub lies beside its backend, unlike in the wheel."""
    wheel = find_wheel()
    server = tmp_path / "opt" / "tritonserver"
    python = server / "backends" / "python"
    python.mkdir(parents=True)
    (server / "bin").symlink_to(wheel.server / "bin")
    (server / "caches").symlink_to(wheel.server / "caches")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    stub = wheel.server / "python_backend_stubs" / version / "triton_python_backend_stub"
    for source in [*(wheel.server / "backends" / "python").iterdir(), stub]:
        if not (python / source.name).exists():
            (python / source.name).symlink_to(source)
    return server


def environment() -> dict[str, str]:
    return server_environment(find_server(), Path("/links"), Path("/links/gate"))


def test_the_container_s_program_runs_that_server(tiny_release: Release, image_server: Path, tmp_path: Path) -> None:
    libraries = environment()["LD_LIBRARY_PATH"]  # an image sets its own
    extra = {"TRITON_SERVER_DIR": str(image_server), "LD_LIBRARY_PATH": libraries}
    with run_container(tiny_release.path.parent, tmp_path, **extra) as container:
        command = Path(f"/proc/{container.triton_pid()}/cmdline").read_text("utf-8").split("\0")
        assert command[0] == str(image_server / "bin" / "tritonserver")
        output = create_detector(container.grpc).detect(photo("astronaut.png"))
        assert 0 <= output.confidence_score <= 1


def test_an_image_s_search_path_is_kept_and_a_wheel_s_is_set(
    image_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/cuda/compat/lib")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert "cuda" not in environment()["LD_LIBRARY_PATH"]
    monkeypatch.setenv("TRITON_SERVER_DIR", str(image_server))
    env = environment()
    assert env["LD_LIBRARY_PATH"] == "/usr/local/cuda/compat/lib"
    assert "PYTHONPATH" not in env
    assert env["PATH"].split(os.pathsep)[0] == "/links/python/bin"


def test_a_folder_without_a_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_SERVER_DIR", str(tmp_path))
    with pytest.raises(PreflightError, match="there is no bin/tritonserver in it"):
        find_server()
