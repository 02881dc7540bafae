"""The tritonserver of NVIDIA's image, over one release: ready only when every batch size and golden image is scored."""

import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

from deploy.errors import PreflightError, StartError
from deploy.process import Child
from deploy.triton.addresses import ServerAddresses
from deploy.triton.canary import Prober
from deploy.triton.program import TritonFiles, server_command
from deploy.triton.shared_memory import remove_regions
from export.golden import read_golden
from export.model_config import warmed_batches
from export.release import Release
from runtime.free_ports import free_ports

_INSTALLED = Path("/opt/tritonserver")
_POLL_S = 0.2
_END_S = 15.0


def find_server() -> Path:
    """The folder of NVIDIA's server: TRITON_SERVER_DIR, or /opt/tritonserver.

    Raises:
        PreflightError: There is none.
    """
    home = Path(os.environ.get("TRITON_SERVER_DIR", _INSTALLED))
    if not (home / "bin" / "tritonserver").is_file():
        raise PreflightError(f"{home}/bin/tritonserver is not there: run this in NVIDIA's Triton image")
    return home


class NvidiaTriton:
    """A running server; a context manager, which ends it."""

    def __init__(self, release: Release, home: Path) -> None:
        """Starts it.

        Args:
            release: What it serves.
            home: From `find_server`.
        """
        http, grpc, metrics = free_ports(3)
        self.addresses = ServerAddresses("127.0.0.1", http, grpc, metrics)
        self._links = Path(tempfile.mkdtemp(prefix="deepfake-triton-"))
        for name, target in (
            ("repository", release.repository.resolve()),
            ("backends", home / "backends"),
            ("caches", home / "caches"),
        ):
            (self._links / name).symlink_to(target)
        self.log = self._links / "triton.log"
        server = TritonFiles(home, None)
        self._shm_prefix = f"deepfake_{os.getpid()}_{secrets.token_hex(6)}_"
        command = server_command(server, self._links, self.addresses, self._shm_prefix)
        self._child = Child("triton", command, dict(os.environ), self.log)
        self._prober = Prober(
            self.addresses.grpc_url, 5.0, read_golden(release.path), warmed_batches(release.repository)
        )
        self._prober.start()

    def await_ready(self, timeout_s: float) -> float:
        """Waits until it has scored a batch of every size, and the golden images.

        Returns:
            How long that took, in seconds.

        Raises:
            StartError: It ended, took too long, or scores the golden images otherwise than recorded.
        """
        started = time.monotonic()
        while not self._prober.answered.is_set():
            if self._prober.refusal:
                raise StartError(self._prober.refusal)
            if self._child.exit_code is not None:
                raise StartError(f"Triton ended with code {self._child.exit_code}:\n{self._child.log_tail()}")
            if time.monotonic() - started > timeout_s:
                raise StartError(f"Triton was not ready within {timeout_s:g} s:\n{self._child.log_tail()}")
            time.sleep(_POLL_S)
        return time.monotonic() - started

    def end(self) -> None:
        """Stops it and removes what it left."""
        self._prober.stop()
        self._child.end(_END_S)
        remove_regions(self._shm_prefix)
        shutil.rmtree(self._links, ignore_errors=True)

    def __enter__(self) -> Self:
        """The server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.end()
