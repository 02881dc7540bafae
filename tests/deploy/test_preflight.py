"""Each thing that stops a start is one clear line that says what to do."""

import os
import socket
import sysconfig
from pathlib import Path

import pytest

from deploy import preflight
from deploy.errors import PreflightError
from deploy.settings import DeploySettings
from runtime.free_ports import free_ports


def settings(**changes: object) -> DeploySettings:
    port, http, grpc, metrics = free_ports(4)
    ports = {"port": port, "triton_http_port": http, "triton_grpc_port": grpc, "triton_metrics_port": metrics}
    return DeploySettings(_cli_parse_args=False, **{**ports, **changes})  # type: ignore[arg-type]


def test_this_machine_passes(tmp_path: Path) -> None:
    preflight.check_machine(settings(media_root=tmp_path))


@pytest.mark.parametrize("python", [(3, 11), (3, 12)])
def test_supported_pythons_pass(python: tuple[int, int]) -> None:
    preflight.check_python(python, "Linux", "x86_64")


@pytest.mark.parametrize(
    ("python", "system", "machine", "message"),
    [
        ((3, 10), "Linux", "x86_64", "Python 3.11 or 3.12 is needed, this is 3.10"),
        ((3, 13), "Linux", "x86_64", "Python 3.11 or 3.12 is needed, this is 3.13"),
        ((3, 11), "Darwin", "arm64", "Linux x86-64 only, not on Darwin arm64"),
        ((3, 11), "Linux", "aarch64", "Linux x86-64 only"),
    ],
)
def test_other_pythons_and_platforms_are_refused(
    python: tuple[int, int], system: str, machine: str, message: str
) -> None:
    with pytest.raises(PreflightError, match=message):
        preflight.check_python(python, system, machine)


def test_numpy_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "version", lambda _: "2.1.0")
    with pytest.raises(PreflightError, match=r"numpy 2\.1\.0 breaks .* pip install 'numpy<2'"):
        preflight.check_numpy()


def test_a_python_without_shared_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    with pytest.raises(PreflightError, match="no shared libpython3"):
        preflight.find_shared_libpython()


def test_the_shared_library_is_found_where_it_is() -> None:
    folder = preflight.find_shared_libpython()
    assert list(folder.glob(f"libpython{sysconfig.get_python_version()}.so*"))


def test_too_small_shared_memory_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = os.statvfs(tmp_path)
    free = 64 * 2**20 // real.f_frsize
    small = os.statvfs_result((*real[:4], free, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    with pytest.raises(PreflightError, match=r"64 MiB free, 256 MiB are needed .*--shm-size"):
        preflight.check_shared_memory(tmp_path)


def test_missing_shared_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="is not there"):
        preflight.check_shared_memory(tmp_path / "shm")


@pytest.mark.parametrize("name", ["port", "triton_http_port", "triton_grpc_port", "triton_metrics_port"])
def test_a_port_in_use_is_named(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = settings(**{name: taken.getsockname()[1]})
        with pytest.raises(PreflightError, match=f"cannot be used .* set (DEEPFAKE_)?{name.upper()}"):
            preflight.check_ports(chosen)


def test_equal_ports_are_refused() -> None:
    with pytest.raises(PreflightError, match="each port must be another one"):
        preflight.check_ports(settings(port=6000, triton_http_port=6000))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PreflightError, match=r"192\.0\.2\.1"):
        preflight.check_ports(settings(host="192.0.2.1"))


def test_a_media_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="MEDIA_ROOT"):
        preflight.check_media_root(settings(media_root=tmp_path / "missing"))


@pytest.mark.parametrize(
    ("host", "server_dir", "warned"),
    [("127.0.0.1", "", False), ("0.0.0.0", "", True), ("10.0.0.7", "", True), ("0.0.0.0", "/opt/tritonserver", False)],
)
def test_the_old_server_beyond_this_machine_is_warned_of(
    host: str, server_dir: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_SERVER_DIR", server_dir)
    said: list[str] = []
    preflight.warn_of_old_server(settings(triton_host=host), said.append)
    assert [f"listens on {host}" in line and "CVE-2025-23319" in line for line in said] == [True] * warned
