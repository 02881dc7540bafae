"""The single container: `docker run -p 5000:5000`, without any other option."""

from collections.abc import Iterator

import pytest

from runtime.free_ports import free_ports
from tests.containers import contract
from tests.containers.engine import Engine, run
from tests.deploy.test_compose import SERVICES
from tests.media import photo

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

_IMAGE = "deepfake"
_KILL_TRITON = """
import os, pathlib, signal
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and (entry / "comm").read_text().strip() == "tritonserver":
        os.kill(int(entry.name), signal.SIGKILL)
        print("killed")
"""


@pytest.fixture(scope="module")
def running(engine: Engine) -> Iterator[tuple[str, str]]:
    """Id of the container, and its URL."""
    (port,) = free_ports(1)
    engine.build("Dockerfile", _IMAGE)
    container = engine.run_detached(_IMAGE, port)
    try:
        yield container, f"http://127.0.0.1:{port}"
    finally:
        run([engine.program, "rm", "--force", "--volumes", container])


def test_it_keeps_the_contract_and_is_not_root(engine: Engine, running: tuple[str, str]) -> None:
    container, url = running
    contract.await_healthy(url)
    contract.detect(url, photo("astronaut.png"))
    contract.refuses_what_it_must(url)
    assert engine.exec(container, "id", "-u").strip() == "10001"
    engine.exec(container, *SERVICES["gateway"]["healthcheck"]["test"][1:])  # as its health check does


def test_a_triton_that_is_killed_is_started_again_inside(engine: Engine, running: tuple[str, str]) -> None:
    container, url = running
    assert "killed" in engine.exec(container, "python", "-c", _KILL_TRITON)
    contract.await_detection(url, photo("astronaut.png"))
    contract.await_healthy(url)


def test_it_ends_on_sigterm_with_code_0(engine: Engine, running: tuple[str, str]) -> None:
    container, _ = running
    run([engine.program, "stop", "--time", "30", container])
    assert engine.inspect(container)["State"]["ExitCode"] == 0
