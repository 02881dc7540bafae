"""Sees the alerts work: a real Prometheus watches a real gateway and Triton, Triton is killed, and comes back.

`python deploy/monitoring/try_alerts.py --releases-dir releases` from the project's folder; needs a release in it
(`make serve` makes one) and Debian's package `prometheus`, of which only the program is used, on free loopback ports.
It takes some three minutes; `--quick` looks every two seconds and shortens each alert's time to 2 s.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.process import Child
from runtime.free_ports import free_ports

HERE = Path(__file__).resolve().parent
EXPECTED = {"DeepfakeTritonDown", "DeepfakeModelUnhealthy"}
"""What fires without a Triton."""

_START_S = 120.0
_ALERT_S = 240.0


@dataclass(frozen=True)
class Ports:
    """Free ports of the loopback address."""

    gateway: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int
    prometheus: int


def main() -> None:
    """Exit code 1 if an alert does not come or does not go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases-dir", type=Path, default=Path("releases"))
    parser.add_argument("--prometheus", default=shutil.which("prometheus"), help="the program")
    parser.add_argument("--quick", action="store_true", help="shorten the alerts' times")
    arguments = parser.parse_args()
    if arguments.prometheus is None:
        sys.exit("there is no program `prometheus`: apt-get install prometheus, or name it with --prometheus")
    with tempfile.TemporaryDirectory(prefix="try-alerts-") as folder:
        try_alerts(arguments.prometheus, arguments.releases_dir.resolve(), Path(folder), arguments.quick)


def try_alerts(prometheus: str, releases: Path, folder: Path, quick: bool) -> None:
    """Starts everything, kills Triton, waits for its alerts, starts it again, waits until they are gone.

    Raises:
        TimeoutError: What is expected does not happen.
    """
    ports = Ports(*free_ports(5))
    config = _write_config(folder, ports, quick)
    with _triton(releases, folder, ports) as triton, _gateway(folder, ports):
        _wait_for("the gateway to be healthy", lambda: _health(ports) == 200, _START_S)
        storage = f"--storage.tsdb.path={folder / 'data'}"
        address = f"--web.listen-address=127.0.0.1:{ports.prometheus}"
        with _running("prometheus", [prometheus, f"--config.file={config}", storage, address], {}, folder):
            _wait_for("Prometheus to see both jobs up", lambda: _jobs_up(ports), _START_S)
            _wait_for("a quiet start", lambda: not _firing(ports), _ALERT_S)
            started = time.monotonic()
            triton.end(0)
            _say("Triton was killed")
            for alert in sorted(EXPECTED):
                _wait_for(f"{alert} to fire", lambda alert=alert: alert in _firing(ports), _ALERT_S)  # type: ignore[misc]
                _say(f"{alert} fires after {time.monotonic() - started:.1f} s")
            with _triton(releases, folder, ports):
                started = time.monotonic()
                _wait_for("the alerts to end", lambda: not _firing(ports) & EXPECTED, _ALERT_S)
                _say(f"Triton was started again; no alert after {time.monotonic() - started:.1f} s")


def _write_config(folder: Path, ports: Ports, quick: bool) -> Path:
    """The real files, with this run's ports."""
    config = (HERE / "prometheus.yml").read_text("utf-8")
    config = config.replace("127.0.0.1:5000", f"127.0.0.1:{ports.gateway}")
    config = config.replace('"127.0.0.1:8002"', f'"127.0.0.1:{ports.triton_metrics}"')
    alerts = (HERE / "alerts.yml").read_text("utf-8")
    if quick:
        config = re.sub(r"_interval: 15s", "_interval: 2s", config).replace("_timeout: 10s", "_timeout: 2s")
        alerts = re.sub(r"\bfor: \d+m", "for: 2s", alerts)
    (folder / "alerts.yml").write_text(alerts, "utf-8")
    (folder / "prometheus.yml").write_text(config, "utf-8")
    return folder / "prometheus.yml"


@contextmanager
def _triton(releases: Path, folder: Path, ports: Ports) -> Iterator[Child]:
    settings = {
        "RELEASES_DIR": str(releases),
        "DEEPFAKE_CACHE_DIR": str(folder / "triton"),
        "TRITON_HTTP_PORT": str(ports.triton_http),
        "TRITON_GRPC_PORT": str(ports.triton_grpc),
        "TRITON_METRICS_PORT": str(ports.triton_metrics),
    }
    # Not `make serve`, which would start a killed Triton again before any alert.
    with _running("triton", [sys.executable, "-m", "deploy.triton_container"], settings, folder) as child:
        yield child


@contextmanager
def _gateway(folder: Path, ports: Ports) -> Iterator[Child]:
    settings = {
        "PORT": str(ports.gateway),
        "TRITON_URL": f"127.0.0.1:{ports.triton_grpc}",
        "MEDIA_ROOT": str(folder),
        "HEALTH_FRESH_S": "1",
        "CANARY_TIMEOUT_S": "1",  # less than the time limit of a quick scrape
    }
    with _running("gateway", [sys.executable, "-m", "gateway"], settings, folder) as child:
        yield child


@contextmanager
def _running(name: str, command: Sequence[str], settings: Mapping[str, str], folder: Path) -> Iterator[Child]:
    child = Child(name, command, {**os.environ, **settings}, folder / f"{name}.log")
    try:
        yield child
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n--- the end of {name}'s log\n{child.log_tail()}") from error
    finally:
        child.end(10)


def _wait_for(what: str, happened: Callable[[], bool], limit_s: float) -> None:
    give_up = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {limit_s:g} s for {what}")
        time.sleep(0.2)


def _health(ports: Ports) -> int:
    try:
        return _get(f"http://127.0.0.1:{ports.gateway}/health")[0]
    except OSError:
        return 0


def _jobs_up(ports: Ports) -> bool:
    try:
        _, text = _get(f"http://127.0.0.1:{ports.prometheus}/api/v1/targets")
    except OSError:
        return False
    return {target["health"] for target in json.loads(text)["data"]["activeTargets"]} == {"up"}


def _firing(ports: Ports) -> set[str]:
    _health(ports)  # as a container's probe asks: a scrape runs no inference
    _, text = _get(f"http://127.0.0.1:{ports.prometheus}/api/v1/alerts")
    alerts = json.loads(text)["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def _get(url: str) -> tuple[int, str]:
    # Without the machine's proxy settings, which are not meant for this machine's own services.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()
