"""The alerts on a real Prometheus that watches a real gateway and Triton: Triton is killed, and comes back."""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.process import Child
from export.release import Release
from runtime.free_ports import free_ports
from tests.prometheus import run_prometheus

EXPECTED = {"DeepfakeTritonDown", "DeepfakeModelUnhealthy"}
"""What fires without a Triton."""
_LIMIT_S = 90.0


@pytest.mark.long
def test_a_real_prometheus_sees_triton_die_and_come_back(tiny_release: Release, tmp_path: Path) -> None:
    gateway, http, grpc, metrics = free_ports(4)
    triton = {
        "DEEPFAKE_RELEASES_DIR": str(tiny_release.path.parent),
        "DEEPFAKE_CACHE_DIR": str(tmp_path / "triton"),
        "DEEPFAKE_TRITON_HTTP_PORT": str(http),
        "DEEPFAKE_TRITON_GRPC_PORT": str(grpc),
        "DEEPFAKE_TRITON_METRICS_PORT": str(metrics),
    }
    its_gateway = {
        "PORT": str(gateway),
        "DEEPFAKE_TRITON_URL": f"127.0.0.1:{grpc}",
        "MEDIA_ROOT": str(tmp_path),
        "DEEPFAKE_HEALTH_FRESH_S": "1",
        "DEEPFAKE_CANARY_TIMEOUT_S": "1",  # less than the time limit of a quick scrape
    }

    def firing(prometheus: str) -> set[str]:
        # As whatever watches the gateway does: its metric of health says what the last inference or /health said.
        answers(f"http://127.0.0.1:{gateway}/health")
        alerts = json.loads(get(f"{prometheus}/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def both_jobs_are_up(prometheus: str) -> bool:
        targets = json.loads(get(f"{prometheus}/api/v1/targets"))["data"]["activeTargets"]
        return {target["health"] for target in targets} == {"up"}

    # Not `make serve`, which would start a killed Triton again before any alert.
    with (
        running("deploy.triton_container", triton, tmp_path) as first,
        running("gateway", its_gateway, tmp_path),
    ):
        await_true("the gateway to be healthy", lambda: answers(f"http://127.0.0.1:{gateway}/health"))
        with run_prometheus(tmp_path, gateway, metrics) as prometheus:
            await_true("both jobs to be up", lambda: both_jobs_are_up(prometheus))
            await_true("a quiet start", lambda: not firing(prometheus))
            first.end(0)
            await_true("the alerts to fire", lambda: firing(prometheus) >= EXPECTED)
            with running("deploy.triton_container", triton, tmp_path):
                await_true("the alerts to end", lambda: not firing(prometheus) & EXPECTED)


@contextmanager
def running(module: str, settings: dict[str, str], folder: Path) -> Iterator[Child]:
    child = Child(module, [sys.executable, "-m", module], {**os.environ, **settings}, folder / f"{module}.log")
    try:
        yield child
    except AssertionError:
        print(f"--- {module}\n{child.log_tail()}")
        raise
    finally:
        child.end(10)


def await_true(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while True:
        try:
            if happened():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"waited {_LIMIT_S:g} s for {what}"
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether it answers with 200."""
    try:
        return get(url) != ""
    except OSError:
        return False


def get(url: str) -> str:
    # Without the machine's proxy settings, which are not meant for this machine's own services.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return str(answer.read().decode())
