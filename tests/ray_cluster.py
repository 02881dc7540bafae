"""A Ray cluster of one machine for tests: the real head process, beside the test's own: its noise stays there."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.process import children_of
from runtime.free_ports import free_ports
from tests.service import ROOT

_START_TIMEOUT_S = 90.0
_START_TRIES = 3
"""Ray gives its own processes 30 s to start, which a busy machine may need longer for."""

_DEADLY_FILES = """\
import os, signal, sys

def _die(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and os.fsdecode(args[0]).endswith("deadly.jpg"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(_die)
"""
"""Read by every Python process of the cluster at its start: it dies when it opens a file of that name, as one would by
a fault in a decoder."""


@dataclass(frozen=True)
class RayCluster:
    """A running cluster.

    Attributes:
        address: host:port for `ray.init`.
        head: The head process.
    """

    address: str
    head: "subprocess.Popen[bytes]"

    def worker_pids(self) -> list[int]:
        """Processes that score a unit now."""
        return [pid for pid in _descendants(self.head.pid) if "score_and_write" in _command(pid)]


@contextlib.contextmanager
def ray_cluster(cpus: int = 2) -> Iterator[RayCluster]:
    """Starts a head node on free ports and ends all its processes."""
    for tries_left in reversed(range(_START_TRIES)):
        # Short: the paths of its sockets may have 107 characters.
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        head = _start(folder, cpus)
        try:
            address = _address(head, folder / "head.log", last_try=not tries_left)
            if address:
                yield RayCluster(address, head)
                return
        finally:
            for pid in [*_descendants(head.pid), head.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            head.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, cpus: int) -> "subprocess.Popen[bytes]":
    (folder / "sitecustomize.py").write_text(_DEADLY_FILES, encoding="utf-8")
    env = ray_environment() | {"PYTHONPATH": f"{folder}:{ROOT}:{ROOT / 'client'}"}
    port = max(free_ports(100))  # above those that Ray keeps for its workers, 10,002 to 19,999
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--port=0",
               f"--num-cpus={cpus}", "--include-dashboard=false", f"--ray-client-server-port={port}",
               "--object-store-memory=100000000", f"--temp-dir={folder}"]  # fmt: skip
    with (folder / "head.log").open("wb") as log:
        return subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)


def ray_environment() -> dict[str, str]:
    """The environment of a process that uses the cluster."""
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return kept | quiet | {"PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}


def _address(head: "subprocess.Popen[bytes]", log: Path, last_try: bool) -> str:
    """The head's address, "" if it did not start."""
    give_up_at = time.monotonic() + _START_TIMEOUT_S
    while not (found := re.search(r"--address='([^']+)'", log.read_text("utf-8"))):
        if head.poll() is not None or time.monotonic() > give_up_at:
            if last_try:
                raise AssertionError(f"Ray did not start:\n{log.read_text('utf-8')}")
            return ""
        time.sleep(0.1)
    return found.group(1)


def _descendants(pid: int) -> list[int]:
    """All processes below one, the deepest first."""
    return [below for child in children_of(pid) for below in [*_descendants(child), child]]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    except OSError:
        return ""
