"""The tritonserver program, of the nvidia-pytriton wheel or NVIDIA's image: where it lies, and how it is started."""

import importlib.util
import os
import re
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import PreflightError
from deploy.preflight import find_shared_libpython
from deploy.triton.addresses import GrpcTls, ServerAddresses
from deploy.triton.shared_memory import SHM
from runtime import start_gate

# The stub is the process in which a Python-backend model runs.
_BACKEND_FILES = ("libtriton_python.so", "triton_python_backend_utils.py")
_STUB = "triton_python_backend_stub"
CONNECTION_AGE_MS = 8000
"""A gRPC client looks its server's name up when a connection ends, and only then finds servers that were added."""

_EXIT_TIMEOUT_S = 5
_ADMINISTRATION = "shared-memory,model-repository,logging,trace"
_UNSENDABLE = f"NOBODY={secrets.token_hex(16)}\n"
"""Name and value of a header. Every user can read them in the command line, so they must not be possible: HTTP/2 has no
capitals in names, and no header has a line's end in its value."""

_SERVER_DIR = "TRITON_SERVER_DIR"
_PYTHON = "python"
_OF_MODELS = ("preprocessing", "runtime")
_OUR_PACKAGES = Path(start_gate.__file__).resolve().parent.parent
_SHELL_SAFE = re.compile(r"[A-Za-z0-9_./+:@%,=-]+")


@dataclass(frozen=True)
class TritonFiles:
    """An installed server.

    Attributes:
        server: Its folder, with `bin`, `backends` and `caches`.
        libraries: Folder of the shared libraries bundled with the wheel; None for a server of an image, whose own
            search path has what it needs.
    """

    server: Path
    libraries: Path | None

    @property
    def binary(self) -> Path:
        """The tritonserver program."""
        return self.server / "bin" / "tritonserver"


def find_server() -> TritonFiles:
    """The server in the folder TRITON_SERVER_DIR, as in NVIDIA's image, or the installed wheel's.

    Raises:
        PreflightError: There is none, or it lacks what a model process runs in.
    """
    configured = os.environ.get(_SERVER_DIR)
    if not configured:
        return find_wheel()
    files = TritonFiles(Path(configured).resolve(), None)
    for path in (files.binary, files.server / "backends" / "python" / _STUB):
        if not path.is_file():
            raise PreflightError(f"{_SERVER_DIR}={configured}: there is no {path.relative_to(files.server)} in it")
    return files


def find_wheel() -> TritonFiles:
    """Locates the installed wheel without importing it.

    Raises:
        PreflightError: It is not installed, or lacks the stub of this Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise PreflightError("nvidia-pytriton is not installed: run `make install`")
    package = Path(next(iter(spec.submodule_search_locations)))
    wheel = TritonFiles(package / "tritonserver", package.parent / "nvidia_pytriton.libs")
    if not wheel.binary.is_file() or not _stub(wheel).is_file():
        raise PreflightError(f"nvidia-pytriton has no server for Python {_python()}: reinstall it with 3.11 or 3.12")
    return wheel


def _python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _stub(wheel: TritonFiles) -> Path:
    return wheel.server / "python_backend_stubs" / _python() / _STUB


def link_for_shell(files: TritonFiles, repository: Path, run_dir: Path, only: str = "") -> Path:
    """Makes a folder of links whose paths a shell takes as they are, to be the server's current folder.

    Triton's Python backend starts its model processes through an unquoted `bash -c`, in which a space or a `;` of a
    path would end the command or begin another one. The processes read paths as ASCII, and import from their current
    folder before all others: so Python and our packages are there as well.

    Args:
        files: The installed server.
        repository: Model repository to serve.
        run_dir: Where the folder is made, unless its path is not safe or its disk is full: then in shared memory.
        only: The one model to serve; all by default.

    Returns:
        The folder, private to this user; the caller removes it.
    """
    try:
        if not _SHELL_SAFE.fullmatch(str(run_dir.resolve())):
            raise ValueError(run_dir)
        run_dir.mkdir(parents=True, exist_ok=True)
        return _link_in(run_dir.resolve(), files, repository, only)
    except (OSError, ValueError):
        return _link_in(SHM, files, repository, only)


def _link_in(parent: Path, files: TritonFiles, repository: Path, only: str) -> Path:
    links = Path(tempfile.mkdtemp(prefix="deepfake-links-", dir=parent))
    if only:  # a repository of links: with Triton's --load-model, models could be loaded and unloaded
        (links / "repository").mkdir()
    (links / "repository" / only).symlink_to((repository / only).resolve())
    (links / "caches").symlink_to(files.server / "caches")
    (links / _PYTHON).symlink_to(sys.prefix)
    for package in _OF_MODELS:
        (links / package).symlink_to(_OUR_PACKAGES / package)
    if files.libraries is None:
        (links / "backends").symlink_to(files.server / "backends")
        return links
    # The wheel keeps a stub for each Python, elsewhere than Triton looks for it.
    python = links / "backends" / "python"
    python.mkdir(parents=True)
    for source in [files.server / "backends" / "python" / name for name in _BACKEND_FILES] + [_stub(files)]:
        (python / source.name).symlink_to(source)
    return links


def server_environment(files: TritonFiles, links: Path, gate: Path) -> dict[str, str]:
    """The environment in which the server and its stubs find this virtual environment and their libraries.

    PYTHON* and LD_* of the caller would change which modules and libraries the stubs load, so they are dropped; an
    image's LD_* are part of its server and stay.

    Args:
        files: The installed server.
        links: See `link_for_shell`.
        gate: See `runtime.start_gate`.
    """
    dropped = ("PYTHON",) if files.libraries is None else ("PYTHON", "LD_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    env["PATH"] = f"{links / _PYTHON / 'bin'}:{env.get('PATH', '/usr/bin:/bin')}"
    if files.libraries is not None:
        env["LD_LIBRARY_PATH"] = f"{files.libraries}:{find_shared_libpython()}"
    # One thread per model instance: libraries that make a pool per process would oversubscribe the cores.
    env["OMP_NUM_THREADS"] = "1"
    # Buffers of requests of many sizes would leave holes in the heap that grow for hours (docs/performance.md). The
    # model processes undo it (runtime/process.py).
    env.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**17))
    env[start_gate.VARIABLE] = str(gate)
    env["PYTHONUNBUFFERED"] = "1"
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # a release is immutable: no __pycache__ beside its model.py
    return env


def trace_options(collector: str) -> list[str]:
    """Has Triton send a trace of each request that comes with a trace's context, as the gateway's do, and of no other.

    Args:
        collector: Base URL of an OTLP/HTTP collector; "" for no traces.
    """
    if not collector:
        return []
    return [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        # Of those without a context one in so many, which spares the collector the canaries.
        f"--trace-config=rate={2**31 - 1}",
        f"--trace-config=opentelemetry,url={collector.rstrip('/')}/v1/traces",
        "--trace-config=opentelemetry,resource=service.name=deepfake-triton",
    ]


def server_command(
    files: TritonFiles, links: Path, addresses: ServerAddresses, shm_prefix: str, trace_collector: str = ""
) -> list[str]:
    """The command line of a server that serves one repository and takes no administrative requests.

    Triton cannot switch its administrative interfaces off, so they want a header that nobody can send.
    """
    return [
        str(files.binary),
        f"--model-repository={links / 'repository'}",
        f"--backend-directory={links / 'backends'}",
        f"--cache-directory={links / 'caches'}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        f"--id=deepfake-{secrets.token_hex(8)}",  # of this start: who remembers answers asks for it
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        f"--grpc-restricted-protocol={_ADMINISTRATION}:{_UNSENDABLE}",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        "--log-format=ISO8601",
        # Which other servers' variables, such as AIP_MODE, change.
        "--allow-grpc=true",
        "--allow-metrics=true",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        *_tls_options(addresses.grpc_tls),
        *_http_options(addresses),
        f"--grpc-address={addresses.host}",
        f"--metrics-address={addresses.host}",
        f"--grpc-port={addresses.grpc_port}",
        "--reuse-grpc-port=true",  # beside the socket that holds the port (deploy/ports.py)
        f"--metrics-port={addresses.metrics_port}",
        f"--grpc-max-connection-age={CONNECTION_AGE_MS}",
        *trace_options(trace_collector),
    ]


def _http_options(addresses: ServerAddresses) -> list[str]:
    if not addresses.http_port:
        return ["--allow-http=false"]
    return [
        f"--http-restricted-api={_ADMINISTRATION}:{_UNSENDABLE}",
        f"--http-address={addresses.http_host}",
        f"--http-port={addresses.http_port}",
    ]


def _tls_options(tls: GrpcTls | None) -> list[str]:
    if tls is None:
        return []
    options = ["--grpc-use-ssl=true", f"--grpc-server-cert={tls.certificate}", f"--grpc-server-key={tls.key}"]
    if tls.client_ca:
        options += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={tls.client_ca}"]
    return options
