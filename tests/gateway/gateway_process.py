"""The gateway as a process of its own: `python -m gateway` on a free port."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from runtime.free_ports import free_ports
from tests.inference_server import InferenceServer


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway.

    Attributes:
        port: Its port on 127.0.0.1.
        process: It.
        log: File with its output.
    """

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logged(self) -> str:
        return self.log.read_text("utf-8", "replace")


@contextmanager
def run_gateway(server: InferenceServer, folder: Path, **settings: str) -> Iterator[GatewayProcess]:
    """Starts it in a folder of the test's and waits until it answers.

    Args:
        server: What scores.
        folder: Where its log goes; the working directory.
        settings: Environment variables, without the prefix DEEPFAKE_ where it has one.
    """
    (port,) = free_ports(1)
    plain = {"PORT", "MEDIA_ROOT", "FLASK_ENV", "PYTHONPATH", "TMPDIR"}
    named = {name if name in plain else f"DEEPFAKE_{name}": value for name, value in settings.items()}
    environment = {**os.environ, "PORT": str(port), "DEEPFAKE_TRITON_URL": server.url, **named}
    log = folder / "gateway.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway"], cwd=folder, env=environment, stdout=output, stderr=output
        )
    gateway = GatewayProcess(int(environment["PORT"]), process, log)
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
            requests.get(f"{gateway.url}/health", timeout=5)
            return
        except requests.ConnectionError:
            assert gateway.process.poll() is None, gateway.logged()
            assert time.monotonic() < give_up, gateway.logged()
            time.sleep(0.1)
