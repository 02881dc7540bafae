"""The services of docker-compose.yml: the contract through nginx, what a container may do, what returns when killed."""

import contextlib
import json
from pathlib import Path

import pytest
import requests
import trustme
import yaml

from tests.containers import contract
from tests.containers.engine import Engine, EngineError
from tests.service import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

WRITABLE = {"triton": "/tmp", "gateway": "/tmp", "nginx": "/tmp", "prometheus": "/prometheus"}
_WITHOUT_TLS = """
import os
from pathlib import Path
from deepfake_client import ClientSettings, DetectionError, create_detector
for name in ("CA_FILE", "SERVER_NAME"):
    os.environ.pop(f"DEEPFAKE_CLIENT_TLS_{name}")
try:
    with create_detector("triton:8001", ClientSettings(attempts=1, timeout_s=10)) as detector:
        detector.detect(Path("/media/astronaut-0.png"))
except DetectionError as error:
    print("refused", type(error).__name__)
"""


@pytest.fixture
def url(services: Engine) -> str:
    return f"http://127.0.0.1:{services.settings['PORT']}"


@pytest.fixture
def photo(services: Engine) -> Path:
    return Path(services.settings["MEDIA_DIR"]) / "astronaut-0.png"


def test_the_contract_is_kept_through_nginx(url: str, photo: Path) -> None:
    contract.await_healthy(url)
    contract.detect(url, photo)
    frames = ["astronaut-0.png", "astronaut-1.png", "/media/astronaut-2.png"]
    body = {"mediaType": "VIDEO", "extractedFrames": frames, "include": ["frames"]}
    answer = requests.post(f"{url}/api/v1/inference", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["frames_scored"] == 3
    contract.refuses_what_it_must(url)


@pytest.mark.parametrize("service", WRITABLE)
def test_a_container_can_do_what_it_must_and_no_more(service: str, services: Engine) -> None:
    container = services.container(service)
    lines = services.exec(container, "cat", "/proc/1/status").splitlines()  # the init
    first = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert first["Uid"].split()[0] != "0"
    assert {first[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert "0" not in (first["NoNewPrivs"], first["Seccomp"])
    for folder in ("/", "/usr", "/etc", "/run", "/var/tmp"):
        assert not can_write(services, service, folder), folder
    assert can_write(services, service, WRITABLE[service])
    host = services.inspect(container)["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


def can_write(engine: Engine, service: str, folder: str) -> bool:
    probe = f"{folder.rstrip('/')}/.probe"
    try:
        engine.exec(engine.container(service), "sh", "-c", f"touch {probe} && rm {probe}")
    except EngineError:
        return False
    return True


def test_mounted_folders_are_read_only(services: Engine) -> None:
    for service, folders in {"gateway": ("/media", "/secrets"), "triton": ("/releases", "/secrets")}.items():
        for folder in folders:
            services.exec(services.container(service), "ls", folder)
            assert not can_write(services, service, folder)


@pytest.mark.parametrize("service", ["triton", "gateway", "prometheus"])
def test_there_is_no_way_out(service: str, services: Engine) -> None:
    routes = services.exec(services.container(service), "cat", "/proc/net/route").splitlines()[1:]
    assert routes
    assert all(line.split()[1] != "00000000" for line in routes)


def test_prometheus_scrapes_both_and_has_the_alert_rules(services: Engine) -> None:
    def ask(path: str) -> dict[str, list[dict[str, object]]]:
        code = f"import urllib.request as u; print(u.urlopen('http://prometheus:9090/api/v1/{path}').read().decode())"
        answer = json.loads(services.exec(services.container("gateway"), "python", "-c", code))
        return dict(answer["data"])

    def all_up() -> bool:
        targets = ask("targets")["activeTargets"]
        return len(targets) == 2 and all(target["health"] == "up" for target in targets)

    contract.await_true("both targets to be up", all_up, 90)
    alerts = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text("utf-8"))
    assert {group["name"] for group in ask("rules")["groups"]} == {group["name"] for group in alerts["groups"]}


@pytest.mark.usefixtures("has_grafana")
def test_grafana_has_the_dashboard_and_no_default_password(services: Engine) -> None:
    url = f"http://127.0.0.1:{services.settings['GRAFANA_PORT']}"
    contract.await_true("Grafana", lambda: requests.get(f"{url}/api/health", timeout=10).status_code == 200, 120)
    dashboard = f"{url}/api/dashboards/uid/deepfake-serving"
    assert requests.get(dashboard, auth=("admin", "admin"), timeout=10).status_code == 401
    password = services.exec(services.container("grafana"), "cat", "/var/lib/grafana/admin-password").strip()
    assert requests.get(dashboard, auth=("admin", password), timeout=10).status_code == 200


@pytest.mark.parametrize("service", ["triton", "gateway", "nginx"])
def test_what_is_killed_is_started_again(service: str, services: Engine, url: str, photo: Path) -> None:
    container = services.container(service)
    before = services.inspect(container)["State"]["StartedAt"]
    with contextlib.suppress(EngineError):  # the command may go down with the container
        services.exec(container, "sh", "-c", "kill -9 -1")  # every process but the init and this one
    contract.await_true(
        "a new start", lambda: services.inspect(container)["State"]["StartedAt"] != before, contract.HEALTHY_S
    )
    contract.await_detection(url, photo)
    contract.await_healthy(url)


def test_certificates_and_keys(services: Engine, url: str, photo: Path, folder: Path) -> None:
    """Last: https to nginx, encrypted gRPC to Triton, and an API key."""
    authority = trustme.CA()
    for secrets, name in (("secrets-triton", "triton"), ("secrets-nginx", "127.0.0.1"), ("secrets", None)):
        authority.cert_pem.write_to_path(str(folder / secrets / "ca.pem"))
        if name:
            authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(folder / secrets / "own.pem"))
        for path in (folder / secrets).iterdir():
            path.chmod(0o644)  # for the container's user
    made = services.exec(services.container("gateway"), "python", "-m", "gateway.new_key", "try").splitlines()
    key, line = made[1].strip(), made[3].strip()
    (folder / "api-keys").write_text(f"{line}\n", "utf-8")
    services.settings |= {
        "DEEPFAKE_TRITON_TLS_CERT_FILE": "/secrets/own.pem",
        "DEEPFAKE_TRITON_TLS_KEY_FILE": "/secrets/own.pem",
        "DEEPFAKE_CLIENT_TLS_CA_FILE": "/secrets/ca.pem",
        "DEEPFAKE_CLIENT_TLS_SERVER_NAME": "triton",
        "TLS_CERT_FILE": "/secrets/own.pem",
        "TLS_KEY_FILE": "/secrets/own.pem",
        "DEEPFAKE_API_KEYS_FILE": str(folder / "api-keys"),
    }
    services.recreate("triton")
    services.await_triton()
    services.recreate("gateway")
    services.recreate("nginx")
    secure, trusted = url.replace("http:", "https:"), str(folder / "secrets" / "ca.pem")
    contract.await_healthy(secure, trusted)
    with photo.open("rb") as stream:
        answer = requests.post(f"{secure}/detect", files={"file": stream}, timeout=60, verify=trusted)
    assert answer.status_code == 401
    contract.detect(secure, photo, {"X-API-Key": key}, trusted)
    assert "refused" in services.exec(services.container("gateway"), "python", "-c", _WITHOUT_TLS)
