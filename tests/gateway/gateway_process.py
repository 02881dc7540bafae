"""The gateway as a process of its own: `python -m gateway`, real gunicorn, on a free port."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from deploy.process import children_of
from runtime.free_ports import free_ports
from tests.inference_server import InferenceServer


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway.

    Attributes:
        port: Its port on 127.0.0.1.
        scheme: http or https.
        process: Gunicorn's master.
        log: File with its output.
        verify: What its certificate is verified with.
    """

    port: int
    scheme: str
    process: "subprocess.Popen[bytes]"
    log: Path
    verify: str | bool

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def worker_pids(self) -> list[int]:
        return [pid for pid, state in children_of(self.process.pid).items() if state not in "ZX"]

    def logged(self) -> str:
        return self.log.read_text("utf-8", "replace")


@contextmanager
def run_gateway(
    server: InferenceServer, folder: Path, verify: str | bool = True, **settings: str
) -> Iterator[GatewayProcess]:
    """Starts one worker in a folder of the test's and waits until it answers."""
    (port,) = free_ports(1)
    environment = {**os.environ, "GATEWAY_WORKERS": "1", "PORT": str(port), "TRITON_URL": server.url, **settings}
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway"], cwd=folder, env=environment, stdout=output, stderr=output
        )
    gateway = GatewayProcess(port, "https" if "TLS_CERT_FILE" in settings else "http", process, log, verify)
    try:
        await_answer(gateway)
        yield gateway
    finally:
        process.terminate()
        process.wait(40)


def await_answer(gateway: GatewayProcess) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            requests.get(f"{gateway.url}/health", timeout=5, verify=gateway.verify)
            return
        except requests.ConnectionError:
            assert gateway.process.poll() is None, gateway.logged()
            assert time.monotonic() < give_up, gateway.logged()
            time.sleep(0.1)
