"""Several real Tritons on this machine, and where a client is told of them.

They listen on 127.0.0.2, 127.0.0.3, ... at one port, so that one name can stand for all of them, as a headless service
does in a cluster. The name is put into an /etc/hosts of this process's own mount namespace, so that the machine's real
resolver answers; where no namespace may be made, a file that lists the servers takes its place.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.triton.addresses import ServerAddresses
from deploy.triton.server import TritonServer
from deploy.triton.shared_memory import region_prefix
from export.release import Release
from reliability.triton_statistics import read_totals
from runtime.free_ports import free_ports

NAME = "tritons.test"  # .test is nobody's: RFC 6761
_HOSTS = Path("/etc/hosts")
_INSIDE = "DEEPFAKE_FLEET_NAMESPACE"
_MODEL = "deepfake_detector"
_START_S = 120.0
_LOG_LINES = 60
_GRACE_S = 10.0
_NO_CANARIES_S = 1e6  # after the first one: they would be counted with the load's requests


class FleetError(Exception):
    """A server of the fleet does not start."""


class FleetServer:
    """One Triton."""

    def __init__(self, name: str, release: Release, addresses: ServerAddresses, shm_prefix: str, folder: Path) -> None:
        """Starts it.

        Raises:
            PreflightError: The wheel with Triton is not usable.
        """
        self.name = name
        self.host = addresses.host
        self.grpc = addresses.grpc_url
        self._triton = TritonServer(
            release, addresses, shm_prefix, folder, canary_interval_s=_NO_CANARIES_S, log=folder / f"{name}.log"
        )

    def await_ready(self) -> None:
        """Returns once a real inference has succeeded.

        Raises:
            FleetError: It ends, or takes too long.
        """
        deadline = time.monotonic() + _START_S
        while not self._triton.ready:
            if self._triton.child.exit_code is not None or time.monotonic() > deadline:
                raise FleetError(f"{self.name} does not start:\n{self._triton.child.log_tail(_LOG_LINES)}")
            time.sleep(0.1)

    def answered(self) -> int:
        """Requests that the ensemble has answered successfully, by Triton's own statistics.

        Raises:
            tritonclient.utils.InferenceServerException: It is not there.
        """
        return read_totals(self.grpc)[_MODEL].requests

    def kill(self) -> None:
        """SIGKILL: nothing is said to anybody."""
        os.kill(self._triton.child.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends it, if it still runs."""
        self._triton.end(_GRACE_S)


class Fleet:
    """Tritons over one release. Made by `run_fleet`."""

    def __init__(self, release: Release, folder: Path, stack: ExitStack) -> None:
        self._release = release
        self._folder = folder
        self._stack = stack
        self._ports = free_ports(3)
        self._started = 0

    @property
    def grpc_port(self) -> int:
        """Of all of them."""
        return self._ports[1]

    def start(self, name: str) -> FleetServer:
        """Starts one more; it is not ready yet.

        Raises:
            PreflightError: The wheel with Triton is not usable.
        """
        self._started += 1
        folder = self._folder / name
        folder.mkdir()
        prefix = self._stack.enter_context(region_prefix(folder))
        http, grpc, metrics = self._ports
        addresses = ServerAddresses(f"127.0.0.{1 + self._started}", http, grpc, metrics)
        server = FleetServer(name, self._release, addresses, prefix, folder)
        self._stack.callback(server.end)
        return server


@contextmanager
def run_fleet(release: Release, folder: Path) -> Iterator[Fleet]:
    """A fleet without a server yet; those that it starts have ended when the context does."""
    with ExitStack() as stack:
        yield Fleet(release, folder, stack)


class Directory:
    """Where clients read which servers there are.

    Attributes:
        url: What they are given.
        is_dns: Whether it is a name that the machine's resolver answers, not a file.
    """

    def __init__(self, port: int, folder: Path) -> None:
        """Lists nothing yet.

        Args:
            port: gRPC port of every server.
            folder: For the file, where no name can be given.
        """
        self._port = port
        self.is_dns = _INSIDE in os.environ
        self._file = _HOSTS if self.is_dns else folder / "servers"
        self.url = f"dns://{NAME}:{port}" if self.is_dns else f"file:{self._file}"

    def list(self, servers: Sequence[FleetServer]) -> None:
        """These are the servers from now on."""
        if self.is_dns:
            # A bind mount is no name that could be replaced: what is there is overwritten.
            lines = ["127.0.0.1 localhost", *(f"{server.host} {NAME}" for server in servers)]
            self._file.write_text("\n".join(lines) + "\n", encoding="ascii")
            return
        partial = self._file.with_suffix(".new")
        partial.write_text("".join(f"{server.host}:{self._port}\n" for server in servers), encoding="ascii")
        partial.replace(self._file)


def enter_namespace(module: str, arguments: Sequence[str], folder: Path) -> None:
    """Starts the module again in a mount namespace with an /etc/hosts of its own; returns where that cannot be.

    Args:
        module: To run as __main__.
        arguments: Of its command line.
        folder: Where the hosts file lies.
    """
    if _INSIDE in os.environ:
        return
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n", encoding="ascii")
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    mounted = ["sh", "-c", f'mount --bind "$0" {_HOSTS} && exec "$@"', str(hosts)]
    check = [sys.executable, "-c", f"import socket; socket.getaddrinfo('{NAME}', 1)"]
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.2 {NAME}\n", encoding="ascii")
    try:
        works = subprocess.run([*unshare, *mounted, *check], capture_output=True, check=False, timeout=30)
    except OSError:
        return
    if works.returncode != 0:
        return
    command = [*unshare, *mounted, sys.executable, "-m", module, *arguments]
    os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})
