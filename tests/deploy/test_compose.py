"""What the compose file and its override for GPUs promise, checked without a container engine."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from assets import COMPOSE_SCHEMA, fetch_assets
from deepfake_client.settings import ClientSettings
from deploy.settings import DeploySettings
from gateway.app import decode_bytes
from gateway.settings import GatewaySettings
from tests.deploy.settings_variables import variables_of
from tests.gateway.gateway_process import run_gateway
from tests.inference_server import inference_server
from tests.prometheus import program

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GPU: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text("utf-8"))
LONG_RUNNING = ("triton", "preprocess", "gateway", "nginx", "prometheus", "grafana")
OTHERS_IMAGES = {"nginx": "nginx", "prometheus": "prom/prometheus", "grafana": "grafana/grafana"}

every_service = pytest.mark.parametrize("name", SERVICES)
long_running = pytest.mark.parametrize("name", LONG_RUNNING)


def default_of(value: object) -> str:
    """A setting's value where nobody sets its variable."""
    return re.sub(r"\$\{\w+:\+[^}]*\}", "", re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))


def test_the_files_obey_the_compose_specification() -> None:
    schema = json.loads(fetch_assets([COMPOSE_SCHEMA])[COMPOSE_SCHEMA.name].read_text("utf-8"))
    for document in (COMPOSE, GPU):
        jsonschema.Draft202012Validator(schema).validate(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({"services": {"triton": {"mem_limits": "4g"}}})


def test_the_services() -> None:
    assert set(SERVICES) == {"export", *LONG_RUNNING}
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"preprocess": ["preprocess-pool"]}  # a plain `up` starts all others
    assert not (ROOT / ".env").exists()  # that file is the user's own


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
def test_memory_and_processes_have_a_limit(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", default_of(service["mem_limit"]))
    assert int(service["pids_limit"]) > 0


@every_service
def test_images_are_pinned(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    image, _, tag = default_of(SERVICES[name]["image"]).partition(":")
    if name in OTHERS_IMAGES:
        assert image == OTHERS_IMAGES[name]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(-alpine)?", tag)
        assert "build" not in SERVICES[name]
    else:
        assert image.startswith("deepfake-serving/")
        assert tag == version
        assert SERVICES[name]["pull_policy"] == "build"  # no registry has it by itself


def test_upload_space_holds_every_upload_the_gateway_admits() -> None:
    """nginx keeps a body until it is answered. The gateway keeps it, and the file that it holds."""
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    for name, copies in {"nginx": 1, "gateway": 2}.items():
        (mount,) = SERVICES[name]["tmpfs"]
        (size_mib,) = re.findall(r"size=(\d+)m", default_of(mount))
        assert int(size_mib) * 2**20 >= copies * settings.max_body_bytes * settings.max_in_flight


def test_decoders_have_room_for_4k_beside_the_uploads() -> None:
    (limit_gib,) = re.findall(r"^(\d+)g$", default_of(SERVICES["gateway"]["mem_limit"]))
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    assert decode_bytes(settings, int(limit_gib) * 2**30) >= 2**30
    assert {"DEEPFAKE_MAX_VIDEO_DECODES", "DEEPFAKE_VIDEO_DECODE_BYTES"} <= set(SERVICES["gateway"]["environment"])


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    published = [default_of(port) for port in SERVICES[name].get("ports", [])]
    assert published == {"nginx": ["127.0.0.1:5000:8080"], "grafana": ["127.0.0.1:3000:3000"]}.get(name, [])


@pytest.mark.parametrize("server", ["triton", "preprocess"])
def test_triton_is_on_networks_without_a_way_out(server: str) -> None:
    networks = set(SERVICES[server]["networks"])
    assert networks == {"inside", "metrics"}
    assert all(COMPOSE["networks"][network]["internal"] is True for network in networks)
    neighbours = {n: set(SERVICES[n]["networks"]) & networks for n in SERVICES if n != server}
    assert {n: shared for n, shared in neighbours.items() if shared} == {
        "gateway": {"inside", "metrics"},
        "prometheus": {"metrics"},
        "preprocess" if server == "triton" else "triton": {"inside", "metrics"},
    }


def test_callers_reach_the_gateway_through_nginx_alone() -> None:
    assert set(SERVICES["nginx"]["networks"]) & set(SERVICES["gateway"]["networks"]) == {"front"}
    assert COMPOSE["networks"]["front"]["internal"] is True
    assert "outside" not in SERVICES["gateway"]["networks"]
    assert SERVICES["gateway"]["environment"]["DEEPFAKE_TRUSTED_PROXIES"] == "1"
    script = (ROOT / "deploy" / "nginx" / "start.sh").read_text("utf-8")
    assert set(SERVICES["nginx"]["environment"]) <= set(re.findall(r"^#   ([A-Z_]+) ", script, re.MULTILINE))


@long_running
def test_long_running_services_are_checked_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert "stop_grace_period" in service


def test_health_checks_are_real_inferences(tmp_path: Path) -> None:
    check_command = ["python", "-m", "deploy.triton_container", "check"]
    assert SERVICES["triton"]["healthcheck"]["test"][1:] == check_command
    assert SERVICES["preprocess"]["healthcheck"]["test"][1:] == [*check_command, "--only-preprocess"]
    _, python, *arguments = SERVICES["gateway"]["healthcheck"]["test"]
    assert python == "python"
    with inference_server() as triton, run_gateway(triton, tmp_path, HEALTH_FRESH_S="0") as gateway:

        def check() -> int:
            env = {**os.environ, "PORT": str(gateway.port), "http_proxy": "http://127.0.0.1:9"}
            return subprocess.run([sys.executable, *arguments], env=env, check=False).returncode

        assert check() == 0
        triton.stop()
        assert check() != 0


def test_the_order_of_starting() -> None:
    assert SERVICES["export"]["restart"] == "no"
    assert SERVICES["triton"]["depends_on"] == {"export": {"condition": "service_completed_successfully"}}
    assert SERVICES["gateway"]["depends_on"] == {"triton": {"condition": "service_healthy"}}
    assert SERVICES["nginx"]["depends_on"] == {"gateway": {"condition": "service_healthy"}}


def test_only_the_export_writes_releases_and_nobody_writes_media() -> None:
    for name in ("triton", "preprocess", "gateway", "nginx"):
        assert all(volume.endswith(":ro") for volume in SERVICES[name]["volumes"]), name
    assert "releases:/releases" in SERVICES["export"]["volumes"]
    assert "releases:/releases:ro" in SERVICES["triton"]["volumes"]
    assert "${MEDIA_DIR:-./media}:${MEDIA_ROOT:-/media}:ro" in SERVICES["gateway"]["volumes"]


def test_triton_has_the_shared_memory_its_preflight_asks_for() -> None:
    assert default_of(SERVICES["triton"]["shm_size"]) == "1g"


def test_with_a_gpu_triton_and_the_export_are_others_and_nothing_else() -> None:
    export, triton = GPU["services"]["export"], GPU["services"]["triton"]
    assert set(GPU["services"]) == {"export", "triton", "preprocess"}
    shared = {key: triton[key] for key in ("image", "build", "volumes")}
    assert GPU["services"]["preprocess"] == shared  # without its GPU
    # Mounted where the other one's releases are: the two never serve each other's.
    assert (export["volumes"], triton["volumes"]) == (["releases-gpu:/releases"], ["releases-gpu:/releases:ro"])
    assert export["command"] == ["python", "-m", "export", "--backend", "onnxruntime", "--gpu"]
    assert (ROOT / triton["build"]["dockerfile"]).is_file()
    assert export["build"] == {"args": {"LOCK": "export-gpu.lock"}}
    for service in (export, triton):  # the gate runs where Triton will
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], default_of(str(device["count"])), device["capabilities"]) == ("nvidia", "1", ["gpu"])


def test_stopping_gateways_may_finish_what_they_accepted() -> None:
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    (grace_s,) = re.findall(r"^(\d+)s$", SERVICES["gateway"]["stop_grace_period"])
    assert int(grace_s) > settings.request_deadline_s + 5


def test_environment_names_are_settings() -> None:
    for name, model in {"gateway": GatewaySettings, "triton": DeploySettings}.items():
        assert set(SERVICES[name]["environment"]) <= variables_of(model) | variables_of(ClientSettings)


def test_both_ends_of_the_grpc_link_can_be_told_of_certificates() -> None:
    link = {name for name in variables_of(ClientSettings) if "_TLS_" in name}
    server = {name for name in variables_of(DeploySettings) if "_TRITON_TLS_" in name}
    assert len(server) == 3
    assert link <= set(SERVICES["gateway"]["environment"])
    assert link | server <= set(SERVICES["triton"]["environment"])


def test_each_service_sees_its_own_private_keys_alone() -> None:
    folders = {
        name: [default_of(volume) for volume in service.get("volumes", []) if volume.endswith(":/secrets:ro")]
        for name, service in SERVICES.items()
    }
    assert {name: found for name, found in folders.items() if found} == {
        "triton": ["./secrets-triton:/secrets:ro"],
        "preprocess": ["./secrets-triton:/secrets:ro"],
        "gateway": ["./secrets:/secrets:ro"],
        "nginx": ["./secrets-nginx:/secrets:ro"],
    }


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
        "gateway": ["api_keys", "sampling_secret"],
        "grafana": ["grafana_admin_password"],
    }


def test_mounted_files_of_the_repository_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = default_of(volume).split(":")[0]
            if source.startswith("./deploy/"):
                assert (ROOT / source).exists(), source


def test_prometheus_watches_what_the_alerts_are_about(tmp_path: Path) -> None:
    config = (ROOT / "deploy" / "docker" / "prometheus.yml").read_text("utf-8")
    (tmp_path / "prometheus.yml").write_text(config, "utf-8")
    (tmp_path / "alerts.yml").write_bytes((ROOT / "deploy" / "monitoring" / "alerts.yml").read_bytes())
    done = subprocess.run(
        [program("promtool"), "check", "config", "prometheus.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = {job["job_name"]: job["static_configs"] for job in yaml.safe_load(config)["scrape_configs"]}
    ordinary = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text("utf-8"))
    assert set(jobs) == {job["job_name"] for job in ordinary["scrape_configs"]}
    port = SERVICES["gateway"]["environment"]["DEEPFAKE_METRICS_PORT"]
    assert jobs["deepfake-gateway"] == [{"targets": [f"gateway:{port}"]}]
    assert jobs["deepfake-triton"] == [{"targets": ["triton:8002"]}]
    assert SERVICES["gateway"]["environment"]["DEEPFAKE_METRICS_HOST"] == "0.0.0.0"
    assert {"gateway", "prometheus"} <= {n for n in SERVICES if "metrics" in SERVICES[n]["networks"]}


def test_every_variable_is_documented_once() -> None:
    """Those of gateway, Triton and client in docs/settings.md, the others in docs/deploy.md with their defaults."""
    text = "".join((ROOT / f"docker-compose{kind}.yml").read_text("utf-8") for kind in ("", ".gpu"))
    used = dict(re.findall(r"\$\{(\w+):[-+]([^}]*)\}", text))
    passed = {
        key for service in SERVICES.values() for key, value in service.get("environment", {}).items() if not value
    }
    settings = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE))
    rows: dict[str, str] = {}
    for names, defaults in re.findall(
        r"^\| (`[A-Z_`, ]+`) \| (.*?) \|", (ROOT / "docs" / "deploy.md").read_text("utf-8"), re.MULTILINE
    ):
        variables = re.findall(r"`(\w+)`", names)
        rows |= dict(zip(variables, re.findall(r"`([^`]+)`", defaults) or [""] * len(variables), strict=True))
    settings -= rows.keys()
    assert set(rows) == (set(used) | passed | set(COMPOSE["x-build-args"]["args"])) - settings
    assert {name: rows[name] for name in rows if name in used} == {
        name: "" if used[name].endswith("/none") else used[name] for name in rows if name in used
    }
