"""What the compose file promises, for each profile, checked without a container engine."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from deepfake_client.settings import ClientSettings

from assets import COMPOSE_SCHEMA, fetch_assets
from deploy.settings import DeploySettings
from gateway.settings import GatewaySettings
from tests.prometheus import program

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROFILES = {
    "cpu": {"export", "triton", "gateway", "prometheus", "grafana"},
    "gpu": {"export-gpu", "triton-gpu", "gateway", "prometheus", "grafana"},
}
EXPORTS = ("export", "export-gpu")
TRITONS = ("triton", "triton-gpu")
LONG_RUNNING = (*TRITONS, "gateway", "prometheus", "grafana")
OTHERS_IMAGES = {"prometheus": "prom/prometheus", "grafana": "grafana/grafana"}

every_service = pytest.mark.parametrize("name", SERVICES)
long_running = pytest.mark.parametrize("name", LONG_RUNNING)
each_triton = pytest.mark.parametrize("name", TRITONS)


def default_of(value: object) -> str:
    """A setting's value where nobody sets its variable."""
    return re.sub(r"\$\{\w+:\+[^}]*\}", "", re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))


def test_the_file_obeys_the_compose_specification() -> None:
    schema = json.loads(fetch_assets([COMPOSE_SCHEMA])[COMPOSE_SCHEMA.name].read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({"services": {"triton": {"mem_limits": "4g"}}})


@pytest.mark.parametrize("profile", PROFILES)
def test_the_services_of_a_profile(profile: str) -> None:
    assert {name for name, service in SERVICES.items() if profile in service["profiles"]} == PROFILES[profile]
    assert set().union(*(service["profiles"] for service in SERVICES.values())) == set(PROFILES)


def test_a_plain_up_is_the_cpu_profile() -> None:
    lines = [line for line in (ROOT / ".env").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines == ["COMPOSE_PROFILES=cpu"]  # settings and secrets of somebody's own do not belong into this file


@every_service
def test_no_service_is_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    forbidden = {"cap_add", "privileged", "devices", "pid", "ipc", "network_mode", "userns_mode"}
    assert forbidden & set(service) == set()
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@every_service
def test_an_init_takes_signals_from_the_first_moment(name: str) -> None:
    assert SERVICES[name]["init"] is True


@every_service
def test_the_root_file_system_is_read_only(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert all("size=" in mount for mount in SERVICES[name]["tmpfs"])


@every_service
def test_every_resource_has_a_limit(name: str) -> None:
    service = SERVICES[name]
    assert float(default_of(service["cpus"])) > 0
    assert re.fullmatch(r"\d+[mg]", default_of(service["mem_limit"]))
    assert int(service["pids_limit"]) > 0


@every_service
def test_images_are_pinned(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    image, _, tag = SERVICES[name]["image"].partition(":")
    if name in OTHERS_IMAGES:
        assert image == OTHERS_IMAGES[name]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
        assert "build" not in SERVICES[name]
    else:
        assert image.startswith("deepfake-serving/")
        assert tag == version


def test_upload_space_holds_every_upload_the_gateway_admits() -> None:
    (mount,) = SERVICES["gateway"]["tmpfs"]
    (size_mib,) = re.findall(r"size=(\d+)m", default_of(mount))
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    needed = settings.max_body_bytes * settings.max_in_flight
    assert int(size_mib) * 2**20 >= needed


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    published = [default_of(port) for port in SERVICES[name].get("ports", [])]
    assert published == {"gateway": ["127.0.0.1:5000:5000"], "grafana": ["127.0.0.1:3000:3000"]}.get(name, [])


@each_triton
def test_triton_is_on_networks_without_a_way_out(name: str) -> None:
    networks = SERVICES[name]["networks"]
    assert set(networks) == {"inside", "metrics"}
    assert all(COMPOSE["networks"][network]["internal"] is True for network in networks)
    assert all(options["aliases"] == ["triton"] for options in networks.values())
    neighbours = {n: set(SERVICES[n]["networks"]) & set(networks) for n in SERVICES if n not in TRITONS}
    assert {n for n, shared in neighbours.items() if shared} == {"gateway", "prometheus"}
    assert neighbours["prometheus"] == {"metrics"}


@long_running
def test_long_running_services_are_checked_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert "stop_grace_period" in service


def test_health_checks_are_real_inferences() -> None:
    for name in TRITONS:
        assert SERVICES[name]["healthcheck"]["test"][1:] == ["python", "-m", "deploy.triton_container", "check"]
    assert SERVICES["gateway"]["healthcheck"]["test"][1:] == ["python", "-m", "gateway.check"]


def test_the_order_of_starting() -> None:
    for export, triton in zip(EXPORTS, TRITONS, strict=True):
        assert SERVICES[export]["restart"] == "no"
        assert SERVICES[triton]["depends_on"] == {export: {"condition": "service_completed_successfully"}}
    # A profile has one of them only.
    expected = {"condition": "service_healthy", "required": False}
    assert SERVICES["gateway"]["depends_on"] == dict.fromkeys(TRITONS, expected)


def test_only_the_exports_write_releases_and_nobody_writes_media() -> None:
    for name in (*TRITONS, "gateway"):
        assert all(volume.endswith(":ro") for volume in SERVICES[name]["volumes"]), name
    # The two profiles never serve each other's release.
    for export, triton, volume in zip(EXPORTS, TRITONS, ("releases", "releases-gpu"), strict=True):
        assert f"{volume}:/releases" in SERVICES[export]["volumes"]
        assert f"{volume}:/releases:ro" in SERVICES[triton]["volumes"]
    assert "${MEDIA_DIR:-./media}:${MEDIA_ROOT:-/media}:ro" in SERVICES["gateway"]["volumes"]


@each_triton
def test_triton_has_the_shared_memory_its_preflight_asks_for(name: str) -> None:
    assert default_of(SERVICES[name]["shm_size"]) == "1g"


def test_the_gpu_is_reserved_for_triton_alone() -> None:
    (device,) = SERVICES["triton-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], default_of(device["count"]), device["capabilities"]) == ("nvidia", "1", ["gpu"])
    assert [name for name in SERVICES if "deploy" in SERVICES[name]] == ["triton-gpu"]
    assert SERVICES["export-gpu"]["command"] == ["python", "-m", "export", "--backend", "onnxruntime", "--gpu"]


def test_stopping_gateways_may_finish_what_they_accepted() -> None:
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    (grace_s,) = re.findall(r"^(\d+)s$", SERVICES["gateway"]["stop_grace_period"])
    assert int(grace_s) > settings.request_deadline_s + 5


def test_environment_names_are_settings() -> None:
    client = {f"deepfake_client_{field}" for field in ClientSettings.model_fields}
    triton = set(DeploySettings.model_fields) | client
    gateway = set(GatewaySettings.model_fields) | client
    for name, known in {"gateway": gateway, **dict.fromkeys(TRITONS, triton)}.items():
        assert {variable.lower() for variable in SERVICES[name]["environment"]} <= known


def test_both_ends_of_the_grpc_link_can_be_told_of_certificates() -> None:
    link = {f"DEEPFAKE_CLIENT_{f.upper()}" for f in ClientSettings.model_fields if f.startswith("tls_")}
    server = {f.upper() for f in DeploySettings.model_fields if f.startswith("triton_tls_")}
    assert link <= set(SERVICES["gateway"]["environment"])
    for name in TRITONS:
        assert link | server <= set(SERVICES[name]["environment"])
        assert "${TRITON_SECRETS_DIR:-./secrets-triton}:/secrets:ro" in SERVICES[name]["volumes"]
    # Neither end sees the other's private key.
    assert not any("secrets-triton" in volume for volume in SERVICES["gateway"]["volumes"])


def test_no_secret_is_in_an_environment_or_has_a_default() -> None:
    for name, service in SERVICES.items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|TOKEN|API_KEY|SECRET", variable):
                assert "/run/secrets/" in str(value), f"{name}: {variable}"
    for name, secret in COMPOSE["secrets"].items():
        default = ROOT / default_of(secret["file"])
        assert default.read_bytes() == b"", name
    users = {name: service["secrets"] for name, service in SERVICES.items() if "secrets" in service}
    assert users == {
        "export": ["hf_token"],
        "export-gpu": ["hf_token"],
        "gateway": ["api_keys"],
        "grafana": ["grafana_admin_password"],
    }


def test_mounted_files_of_the_repository_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = default_of(volume).split(":")[0]
            if source.startswith("./deploy/"):
                assert (ROOT / source).exists(), source


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-tls.yml"])
def test_prometheus_watches_what_the_alerts_are_about(name: str, tmp_path: Path) -> None:
    config = (ROOT / "deploy" / "docker" / name).read_text("utf-8")
    (tmp_path / "prometheus.yml").write_text(config, "utf-8")
    (tmp_path / "alerts.yml").write_bytes((ROOT / "deploy" / "monitoring" / "alerts.yml").read_bytes())
    done = subprocess.run(
        [program("promtool"), "check", "config", "prometheus.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = {job["job_name"]: job["static_configs"] for job in yaml.safe_load(config)["scrape_configs"]}
    schemes = {job["job_name"]: job.get("scheme", "http") for job in yaml.safe_load(config)["scrape_configs"]}
    assert schemes == {"deepfake-gateway": "https" if "tls" in name else "http", "deepfake-triton": "http"}
    ordinary = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text("utf-8"))
    assert set(jobs) == {job["job_name"] for job in ordinary["scrape_configs"]}
    port = SERVICES["gateway"]["environment"]["METRICS_PORT"]
    assert jobs["deepfake-gateway"] == [{"targets": [f"gateway:{port}"]}]
    assert jobs["deepfake-triton"] == [{"targets": ["triton:8002"]}]
    assert SERVICES["gateway"]["environment"]["METRICS_HOST"] == "0.0.0.0"
    assert {"gateway", "prometheus"} <= {n for n in SERVICES if "metrics" in SERVICES[n]["networks"]}


def test_the_table_of_settings_is_complete() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    table = (ROOT / "deploy" / "docker" / "README.md").read_text("utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    passed = {
        key for service in SERVICES.values() for key, value in service.get("environment", {}).items() if not value
    }
    passed |= set(COMPOSE["x-build-args"]["args"]) | {"COMPOSE_PROFILES"}
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", table, re.MULTILINE))
    assert set(rows) == set(used) | passed
    for variable, default in used.items():
        if default and not default.endswith("/none"):
            assert rows[variable] == f"`{default}`", variable
