"""What must hold before anything is started: one clear line for each thing that does not."""

import contextlib
import importlib.util
import os
import platform
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deploy.errors import PreflightError
from deploy.ports import require_free
from deploy.settings import DeploySettings

SUPPORTED_PYTHONS = ((3, 11), (3, 12))
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIN_SHM_BYTES = 256 * 2**20
"""Room for the Python backend's shared memory: two models, several instances, chunks of uncompressed frames."""


def check_machine(settings: DeploySettings, shm: Path = Path("/dev/shm")) -> None:
    """Checks interpreter, libraries, shared memory, ports and folders.

    Raises:
        PreflightError: With one line that says what is wrong and what to do.
    """
    check_python_and_libraries()
    if importlib.util.find_spec("pytriton") is None:
        raise PreflightError("the package nvidia-pytriton, which carries Triton, is not installed: run `make install`")
    check_shared_memory(shm)
    check_ports(settings)
    check_media_root(settings)


def check_python_and_libraries() -> None:
    """Checks what Triton's Python backend needs of this interpreter.

    Raises:
        PreflightError: With one line that says what is wrong and what to do.
    """
    check_python(sys.version_info[:2], platform.system(), platform.machine())
    check_numpy()
    find_shared_libpython()


def check_python(python: tuple[int, ...], system: str, machine: str) -> None:
    """Refuses interpreters and platforms that the Triton wheel does not serve."""
    if system != "Linux" or machine != "x86_64":
        raise PreflightError(f"this deployment runs on Linux x86-64 only, not on {system} {machine}: use Docker there")
    if tuple(python[:2]) not in SUPPORTED_PYTHONS:
        raise PreflightError(f"Python 3.11 or 3.12 is needed, this is {python[0]}.{python[1]}: set PYTHON for make")


def check_numpy() -> None:
    """Refuses numpy 2, with which this Triton's Python backend dies at the first request while saying it is ready."""
    try:
        installed = version("numpy")
    except PackageNotFoundError as error:
        raise PreflightError("numpy is not installed: run `make install`") from error
    if int(installed.split(".")[0]) >= 2:
        raise PreflightError(f"numpy {installed} breaks this Triton's Python backend: pip install 'numpy<2'")


def find_shared_libpython() -> Path:
    """The folder of libpython's shared library, which Triton's Python backend loads."""
    names = [sysconfig.get_config_var("INSTSONAME"), f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"]
    folders = [sysconfig.get_config_var("LIBDIR"), Path(sys.base_prefix) / "lib", "/usr/lib/x86_64-linux-gnu"]
    for folder in folders:
        for name in names:
            with contextlib.suppress(PermissionError):
                if folder and name and str(name).endswith((".so", ".so.1.0")) and (Path(folder) / name).exists():
                    return Path(folder)
    raise PreflightError(
        f"this Python has no shared {names[1]}, which Triton needs: install libpython3.{sys.version_info[1]} "
        "(apt) or use a Python built with --enable-shared"
    )


def check_shared_memory(shm: Path) -> None:
    """Refuses a /dev/shm in which Triton would fail at start, or later and request by request."""
    try:
        stats = os.statvfs(shm)
    except OSError as error:
        raise PreflightError(f"{shm} is not there ({error.strerror}): Triton's Python backend needs it") from error
    free = stats.f_bavail * stats.f_frsize
    if free < MIN_SHM_BYTES:
        raise PreflightError(
            f"{shm} has {free // 2**20} MiB free, {MIN_SHM_BYTES // 2**20} MiB are needed "
            "(in a container: --shm-size=512m)"
        )


def warn_of_old_server(settings: DeploySettings, say: Callable[[str], None]) -> None:
    """Says it where the wheel's Triton, which gets no security fixes, listens beyond this machine."""
    if settings.triton_host not in _LOOPBACK and not os.environ.get("TRITON_SERVER_DIR"):
        say(
            f"WARNING: the wheel's Triton 2.51 listens on {settings.triton_host}. A caller can end it or take it over "
            "(CVE-2025-23319, 23320, 23334 and others). Let trusted machines alone reach it, or serve with NVIDIA's "
            "image (docs/security.md)"
        )


def check_ports(settings: DeploySettings) -> None:
    """Refuses ports in use: Triton itself would notice only after loading its models."""
    ports = {
        "PORT": (settings.host, settings.port),
        "DEEPFAKE_TRITON_GRPC_PORT": (settings.triton_host, settings.triton_grpc_port),
        "DEEPFAKE_TRITON_METRICS_PORT": (settings.triton_host, settings.triton_metrics_port),
    }
    if settings.triton_http_port:
        ports["DEEPFAKE_TRITON_HTTP_PORT"] = (settings.triton_host, settings.triton_http_port)
    for number, one in enumerate(settings.preprocess_addresses):
        for offset, port in enumerate((one.grpc_port, one.metrics_port)):
            ports[f"DEEPFAKE_PREPROCESS_GRPC_PORT + {2 * number + offset}"] = (one.host, port)
    if len({port for _, port in ports.values()}) < len(ports):
        raise PreflightError(f"each port must be another one: {', '.join(f'{k}={v[1]}' for k, v in ports.items())}")
    for name, (host, port) in ports.items():
        require_free(host, port, f"stop what uses it or set {name}")


def check_media_root(settings: DeploySettings) -> None:
    """Refuses a MEDIA_ROOT that is no folder; makes only the default one."""
    if settings.media_root == DeploySettings.model_fields["media_root"].default:
        with contextlib.suppress(FileExistsError):
            settings.media_root.mkdir()
    if not settings.media_root.is_dir():
        raise PreflightError(f"MEDIA_ROOT {settings.media_root} is no folder")
