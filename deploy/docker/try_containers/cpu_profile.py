"""The compose file's cpu profile, brought up and tried."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from assets import SAMPLE_PHOTOS, fetch_assets
from deploy.docker.try_containers import contract
from deploy.docker.try_containers.engine import ROOT, Engine, EngineError
from deploy.docker.try_containers.hardening import check_hardening, check_mounts_are_read_only, check_no_way_out
from deploy.docker.try_containers.report import Report, require
from runtime.free_ports import free_ports

_HEALTHY_S = 240.0
_BATCH = 40
_BATCH_CODE = f"""
import io
from PIL import Image
from deepfake_client import create_detector
photo = Image.open("/media/astronaut.png").convert("RGB")
with create_detector("triton:8001") as detector:
    for i in range({_BATCH}):
        stream = io.BytesIO()
        photo.crop((i, i, 460 + i, 400 + i)).save(stream, "JPEG", quality=90)
        score = detector.detect(stream.getvalue()).confidence_score
        assert 0 <= score <= 1, score
print("scored")
"""
_KILL_ALL = "kill -9 -1"  # every process of the container but its init and this one


def prepare(folder: Path, checkpoint: Path) -> dict[str, str]:
    """Makes what the compose file mounts, readable for its user; returns the variables that name it."""
    port, grafana_port = free_ports(2)
    for name in ("media", "secrets", "secrets-triton"):
        (folder / name).mkdir()
    photo = fetch_assets([asset for asset in SAMPLE_PHOTOS if asset.name == "astronaut.png"])["astronaut.png"]
    for i in range(3):
        shutil.copy(photo, folder / "media" / ("astronaut.png" if i == 0 else f"astronaut-{i}.png"))
    shutil.copytree(checkpoint, folder / "checkpoints" / checkpoint.name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return {
        "CHECKPOINT": f"/checkpoints/{checkpoint.name}",
        "CHECKPOINTS_DIR": str(folder / "checkpoints"),
        "MEDIA_DIR": str(folder / "media"),
        "SECRETS_DIR": str(folder / "secrets"),
        "TRITON_SECRETS_DIR": str(folder / "secrets-triton"),
        "PORT": str(port),
        "GRAFANA_PORT": str(grafana_port),
        "COMPOSE_PROFILES": "cpu",
    }


def try_profile(engine: Engine, report: Report, with_grafana: bool) -> None:
    """Brings the profile up, makes the contract's requests, looks into each container, kills each and waits.

    Raises:
        EngineError: It does not come up.
    """
    url = f"http://127.0.0.1:{engine.settings['PORT']}"
    photo = Path(engine.settings["MEDIA_DIR"]) / "astronaut.png"
    started = time.monotonic()
    engine.start(with_grafana)
    with report.check("the gateway is healthy"):
        contract.await_healthy(url, _HEALTHY_S)
        report.figure("from nothing to healthy, export included", f"{time.monotonic() - started:.0f} s")
    with report.check("GET /health names the model"):
        report.figure("model", str(contract.health(url)["model"]))
    with report.check("POST /detect scores a photo"):
        contract.detect(url, photo)
    with report.check("POST /api/v1/inference scores frames of the media volume"):
        contract.inference(url, ["astronaut.png", "astronaut-1.png", "/media/astronaut-2.png"], 3)
    with report.check("what must be refused is"):
        contract.refusals(url)
    with report.check(f"{_BATCH} photos over gRPC, from the gateway's container"):
        require("scored" in engine.exec(engine.container("gateway"), "python", "-c", _BATCH_CODE), "not scored")
    _try_hardening(engine, report, with_grafana)
    with report.check("Prometheus scrapes gateway and Triton and has the alert rules"):
        _check_prometheus(engine)
    if with_grafana:
        with report.check("Grafana has the dashboard, and no default password"):
            _check_grafana(engine)
    for service in ("triton", "gateway", "prometheus", *(("grafana",) if with_grafana else ())):
        with report.check(f"{service}: killed, started again, answers"):
            _kill_and_await(engine, report, service, url, photo)


def _try_hardening(engine: Engine, report: Report, with_grafana: bool) -> None:
    writable = {"triton": "/tmp", "gateway": "/tmp", "prometheus": "/prometheus"}
    if with_grafana:
        writable["grafana"] = "/var/lib/grafana"
    for service, folder in writable.items():
        with report.check(f"{service}: not root, no capability, read-only, limited"):
            check_hardening(engine, service, folder)
    with report.check("media, secrets and releases are read-only"):
        check_mounts_are_read_only(engine, "gateway", ("/media", "/secrets"))
        check_mounts_are_read_only(engine, "triton", ("/releases", "/secrets"))
    for service in ("triton", "prometheus"):
        with report.check(f"{service} has no way out"):
            check_no_way_out(engine, service)


def _check_prometheus(engine: Engine) -> None:
    """Asks it from the gateway's container: its port is not published."""

    def ask(path: str) -> dict[str, list[dict[str, object]]]:
        code = f"import urllib.request as u; print(u.urlopen('http://prometheus:9090/api/v1/{path}').read().decode())"
        answer: dict[str, list[dict[str, object]]] = json.loads(
            engine.exec(engine.container("gateway"), "python", "-c", code)
        )["data"]
        return answer

    def all_up() -> bool:
        targets = ask("targets")["activeTargets"]
        return len(targets) == 2 and all(target["health"] == "up" for target in targets)

    _await("both targets to be up", all_up, 90)
    alerts = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text("utf-8"))
    loaded = {str(group["name"]) for group in ask("rules")["groups"]}
    require(loaded == {group["name"] for group in alerts["groups"]}, f"groups of rules: {loaded}")


def _check_grafana(engine: Engine) -> None:
    import requests

    url = f"http://127.0.0.1:{engine.settings['GRAFANA_PORT']}"
    _await("Grafana", lambda: requests.get(f"{url}/api/health", timeout=10).status_code == 200, 120)
    dashboard = f"{url}/api/dashboards/uid/deepfake-serving"
    default = requests.get(dashboard, auth=("admin", "admin"), timeout=10).status_code
    require(default == 401, f"the default password gets {default}")
    password = engine.exec(engine.container("grafana"), "cat", "/var/lib/grafana/admin-password").strip()
    answer = requests.get(dashboard, auth=("admin", password), timeout=10)
    require(answer.status_code == 200, f"the dashboard is {answer.status_code}: {answer.text[:300]}")


def _kill_and_await(engine: Engine, report: Report, service: str, url: str, photo: Path) -> None:
    container = engine.container(service)
    before = engine.inspect(container)["State"]["StartedAt"]
    killed = time.monotonic()
    with contextlib.suppress(EngineError):  # the command may go down with the container
        engine.exec(container, "sh", "-c", _KILL_ALL)
    _await("a new start", lambda: engine.inspect(container)["State"]["StartedAt"] != before, 120)
    if service in ("triton", "gateway"):
        contract.await_detection(url, photo, _HEALTHY_S)
        contract.await_healthy(url, _HEALTHY_S)
    else:
        _await("its port", lambda: _ready(engine, service), 120)
    report.figure(f"{service}: from kill -9 to an answer", f"{time.monotonic() - killed:.1f} s")


def _ready(engine: Engine, service: str) -> bool:
    address = {"prometheus": "9090/-/ready", "grafana": "3000/api/health"}[service]
    engine.exec(engine.container(service), "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{address}")
    return True


def _await(what: str, happened: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        last = ""
        try:
            if happened():
                return
        except (EngineError, OSError) as error:
            last = str(error)
        require(time.monotonic() < deadline, f"waited {limit_s:g} s for {what}. {last}")
        time.sleep(1)
