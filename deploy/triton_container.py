"""`python -m deploy.triton_container`: what the Triton container runs; with `check`, its health check.

Triton never restarts a dead Python-backend process and goes on calling itself ready. So this process verifies the
release, runs Triton, watches its model processes, proves the rest by canary inferences, and ends with an error when the
server can no longer be trusted: the container's restart policy then brings a new one.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.addresses import GrpcTls, ServerAddresses
from deploy.triton.canary import Canary
from deploy.errors import DeployError, StartError
from deploy.gpu_release import check_gpu
from deploy.preflight import check_numpy, check_python, check_shared_memory, find_shared_libpython
from deploy.process import children_of
from deploy.triton.shared_memory import SHM, region_prefix
from deploy.triton.server import TritonServer
from export.errors import ExportError
from export.golden import read_golden
from export.model_config import warmed_batches
from export.release import CURRENT, REPOSITORY, Release, read_release, verify_files

_POLL_S = 0.2
_STOP_GRACE_S = 10.0  # Triton's own --exit-timeout-secs is less


class TritonContainerSettings(BaseSettings):
    """The container's settings: environment over defaults."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    triton_host: str = Field(default="127.0.0.1", description="Address that Triton listens on.")
    triton_http_port: int = Field(default=8000, ge=1, le=65535, description="Triton's HTTP port.")
    triton_grpc_port: int = Field(default=8001, ge=1, le=65535, description="Triton's gRPC port.")
    triton_metrics_port: int = Field(default=8002, ge=1, le=65535, description="Triton's metrics port.")
    triton_tls_cert_file: Path | None = Field(
        default=None,
        description="PEM certificate chain: with the key the gRPC port is encrypted, and the HTTP port on loopback "
        "only. The canaries need DEEPFAKE_CLIENT_TLS_CA_FILE, and _TLS_SERVER_NAME if it is not made out to 127.0.0.1.",
    )
    triton_tls_key_file: Path | None = Field(default=None, description="PEM private key of TRITON_TLS_CERT_FILE.")
    triton_tls_client_ca_file: Path | None = Field(
        default=None, description="PEM file of the authority whose certificates clients must show; unset: none."
    )
    releases_dir: Path = Field(default=Path("releases"), description="Folder of releases; `current` in it is served.")
    run_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "deepfake-triton", description="Where run state is kept."
    )
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Base URL of an OTLP/HTTP collector for traces, such as `http://127.0.0.1:4318`; none without one.",
    )
    canary_interval_s: float = Field(default=5.0, gt=0, description="Pause between canary inferences.")
    start_timeout_s: float = Field(default=180.0, gt=0, description="How long Triton may take to answer at first.")

    @model_validator(mode="after")
    def _complete_tls(self) -> Self:
        GrpcTls.from_files(self.triton_tls_cert_file, self.triton_tls_key_file, self.triton_tls_client_ca_file)
        return self

    @property
    def proof(self) -> Path:
        """A file that is there once the server has proved its release; the health check is another process."""
        return self.run_dir / "proved"

    @property
    def addresses(self) -> ServerAddresses:
        """Where Triton listens."""
        tls = GrpcTls.from_files(self.triton_tls_cert_file, self.triton_tls_key_file, self.triton_tls_client_ca_file)
        return ServerAddresses(
            self.triton_host, self.triton_http_port, self.triton_grpc_port, self.triton_metrics_port, tls
        )


def main() -> None:
    """Exit codes: 0 stopped on request or healthy, 1 not started, broken or unhealthy, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m deploy.triton_container", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("serve", "check"), default="serve")
    command = parser.parse_args().command
    try:
        settings = TritonContainerSettings()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors())
        print(f"triton: {problems}", file=sys.stderr)
        sys.exit(2)
    try:
        if command == "check":
            check(settings)
        else:
            serve(settings)
    except (DeployError, ExportError) as error:
        sys.exit(f"triton: {error}")


def check(settings: TritonContainerSettings) -> None:
    """Runs one real inference against the running server.

    Raises:
        DeployError: It failed, or the server has not scored its golden images, or batches of every size, yet.
        ExportError: They cannot be read.
    """
    served = settings.releases_dir / CURRENT
    needs_proof = read_golden(served) is not None or len(warmed_batches(served / REPOSITORY)) > 1
    if needs_proof and not settings.proof.exists():
        raise DeployError("the release's batches and golden images have not been scored as recorded yet")
    canary = Canary(settings.addresses.grpc_url)
    try:
        if failure := canary.failure():
            raise DeployError(failure)
    finally:
        canary.close()


def serve(settings: TritonContainerSettings) -> None:
    """Runs Triton until SIGTERM or SIGINT.

    Raises:
        DeployError: The container cannot run it, or it broke.
        ExportError: There is no release, or it is damaged.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    # Before anything else: as process 1 of a container, without an init, it ignores signals that have no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    check_container()
    release = current_release(settings.releases_dir)
    if stopping.is_set():
        return
    with region_prefix(settings.run_dir) as prefix:
        settings.proof.unlink(missing_ok=True)
        server = TritonServer(
            release,
            settings.addresses,
            prefix,
            settings.run_dir,
            settings.canary_interval_s,
            trace_collector=settings.otel_exporter_otlp_endpoint,
        )
        try:
            _watch(server, stopping, settings.start_timeout_s, settings.proof)
            _say("stopping")
            server.end(_STOP_GRACE_S)
        finally:
            server.end(0)  # of a broken server nothing is to be expected
            reap_orphans(server.child.pid)
    _say("stopped")


def check_container() -> None:
    """Checks what an image or a `docker run` can get wrong.

    Raises:
        PreflightError: With one line that says what is wrong and what to do.
    """
    check_python(sys.version_info[:2], platform.system(), platform.machine())
    check_numpy()
    find_shared_libpython()
    check_shared_memory(SHM)


def current_release(releases_dir: Path) -> Release:
    """The release to serve, every file of it verified, and the GPU it was built for.

    Raises:
        ExportError: There is none, or it is damaged.
        PreflightError: It was built for another GPU, driver or TensorRT.
    """
    release = read_release(releases_dir / CURRENT)
    verify_files(release)
    for warning in check_gpu(release):
        _say(f"warning: {warning}")
    _say(f"model {release.manifest['description']['model']}, release {release.release_id}")
    return release


def _watch(server: TritonServer, stopping: threading.Event, start_timeout_s: float, proof: Path) -> None:
    """Returns when a stop is requested; `proof` is made when the server is ready.

    Raises:
        StartError: The server broke, or never answered.
    """
    deadline = time.monotonic() + start_timeout_s
    announced = False
    while not stopping.wait(_POLL_S):
        reap_orphans(server.child.pid)
        if reason := server.failure():
            raise StartError(f"Triton {reason}")
        if announced:
            continue
        if server.ready:
            announced = True
            proof.touch()
            _say("ready: a real inference succeeded")
        elif time.monotonic() > deadline:
            raise StartError(f"Triton did not answer within {start_timeout_s:g} s")


def reap_orphans(server_pid: int) -> None:
    """Reaps dead processes inherited as process 1, but not the server, whose exit code is still to be read."""
    for pid, state in children_of(os.getpid()).items():
        if state == "Z" and pid != server_pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} triton: {line}", flush=True)


if __name__ == "__main__":
    main()
