"""The single container: `docker run -p 5000:5000`, without any other option."""

import time
from pathlib import Path

from deploy.docker.try_containers import contract
from deploy.docker.try_containers.engine import Engine
from deploy.docker.try_containers.report import Report, require
from runtime.free_ports import free_ports

_HEALTHY_S = 240.0
_KILL_TRITON = """
import os, pathlib, signal
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and (entry / "comm").read_text().strip() == "tritonserver":
        os.kill(int(entry.name), signal.SIGKILL)
        print("killed")
"""


def try_single(engine: Engine, report: Report, image: str, photo: Path) -> None:
    """Runs the image, makes requests, kills Triton inside, ends it."""
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    container = engine.run_detached(image, port)
    try:
        with report.check("single: healthy after a plain `docker run -p`"):
            contract.await_healthy(url, _HEALTHY_S)
            report.figure("single: from docker run to healthy", f"{time.monotonic() - started:.0f} s")
            report.figure("single: model", str(contract.health(url)["model"]))
        with report.check("single: /detect, and what must be refused"):
            contract.detect(url, photo)
            contract.refusals(url)
        with report.check("single: not root"):
            uid = engine.exec(container, "id", "-u").strip()
            require(uid == "10001", f"it runs as user {uid}")
        with report.check("single: its health check is a real inference"):
            engine.exec(container, "python", "-m", "gateway.check")
            health = engine.inspect(container)["Config"].get("Healthcheck") or {}
            require(health.get("Test", [])[-2:] == ["-m", "gateway.check"], f"health check {health}")
        with report.check("single: a Triton that is killed is started again inside"):
            require("killed" in engine.exec(container, "python", "-c", _KILL_TRITON), "no tritonserver was found")
            killed = time.monotonic()
            contract.await_detection(url, photo, _HEALTHY_S)
            contract.await_healthy(url, _HEALTHY_S)
            report.figure("single: from kill -9 of Triton to an answer", f"{time.monotonic() - killed:.1f} s")
        with report.check("single: ends on SIGTERM with code 0"):
            stopped = time.monotonic()
            engine.stop(container)
            code = engine.inspect(container)["State"]["ExitCode"]
            require(code == 0, f"code {code}")
            report.figure("single: stop", f"{time.monotonic() - stopped:.1f} s")
    finally:
        if report.failures:
            print(engine.logs(container), flush=True)
        engine.remove(container)
