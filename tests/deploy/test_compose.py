"""What the compose file and the Dockerfiles promise, checked without a container engine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.triton_container import TritonContainerSettings
from gateway.settings import GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LOCKS = {"export": "export.lock", "triton": "triton-cpu.lock", "gateway": "gateway.lock"}
LONG_RUNNING = ("triton", "gateway")

every_service = pytest.mark.parametrize("name", SERVICES)
long_running = pytest.mark.parametrize("name", LONG_RUNNING)


def dockerfile(name: str) -> str:
    return (ROOT / str(SERVICES[name]["build"]["dockerfile"])).read_text("utf-8")


def default_of(value: object) -> str:
    """A setting's value where nobody sets its variable."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))


def test_the_services() -> None:
    assert set(SERVICES) == {"export", "triton", "gateway"}


@every_service
def test_no_service_is_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert f"USER {service['user']}" in dockerfile(name)
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]


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


def test_upload_space_holds_every_upload_the_gateway_admits() -> None:
    (mount,) = SERVICES["gateway"]["tmpfs"]
    (size_mib,) = re.findall(r"size=(\d+)m", default_of(mount))
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    needed = settings.max_body_bytes * settings.max_in_flight * settings.gateway_workers
    assert int(size_mib) * 2**20 >= needed


@every_service
def test_images_are_pinned(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert SERVICES[name]["image"].endswith(f":{version}")
    bases = set(re.findall(r"^FROM (\S+)", dockerfile(name), re.MULTILINE))
    assert bases == {"python:3.11-slim-bookworm"}


@every_service
def test_an_image_installs_its_own_lock_and_nothing_else(name: str) -> None:
    text = dockerfile(name)
    assert re.findall(r"^COPY requirements/(\S+) ", text, re.MULTILINE) == [LOCKS[name]]
    installs = re.findall(r"pip --python \S+ install --no-cache-dir (.*)", text)
    assert installs == [f"--requirement {LOCKS[name]}", "--no-deps ."]
    assert not re.search(r"\bpip\b", text.split("FROM")[-1])  # the image that ships installs nothing


def test_the_gateway_holds_no_machine_learning() -> None:
    lock = (ROOT / "requirements" / LOCKS["gateway"]).read_text("utf-8")
    names = {line.partition("==")[0].lower() for line in lock.splitlines() if "==" in line}
    forbidden = {
        "torch",
        "transformers",
        "mediapipe",
        "onnx",
        "onnxruntime",
        "opencv-contrib-python",
        "nvidia-pytriton",
    }
    assert names & forbidden == set()
    copied = re.findall(r"^COPY (?!--from|requirements/|pyproject)(\S+)", dockerfile("gateway"), re.MULTILINE)
    assert copied == ["client", "gateway"]


def test_the_triton_image_holds_no_torch() -> None:
    lock = (ROOT / "requirements" / LOCKS["triton"]).read_text("utf-8")
    assert not re.search(r"^(torch|transformers|optimum)==", lock, re.MULTILINE)


@pytest.mark.parametrize("name", ["export", "triton", "gateway"])
def test_dockerfiles_copy_only_what_the_context_holds(name: str) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(name), re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            known = any(source == a.rstrip("/") or source.startswith(a.partition("*")[0]) for a in allowed)
            assert known or source == "deploy", source


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    published = [default_of(port) for port in SERVICES[name].get("ports", [])]
    assert published == (["127.0.0.1:5000:5000"] if name == "gateway" else [])


def test_triton_is_on_a_network_without_a_way_out() -> None:
    assert SERVICES["triton"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert "inside" not in SERVICES["export"]["networks"]


@long_running
def test_long_running_services_are_checked_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert "stop_grace_period" in service


def test_health_checks_are_real_inferences() -> None:
    assert SERVICES["triton"]["healthcheck"]["test"][1:] == ["python", "-m", "deploy.triton_container", "check"]
    assert SERVICES["gateway"]["healthcheck"]["test"][1:] == ["python", "-m", "gateway.check"]


def test_the_order_of_starting() -> None:
    assert SERVICES["export"]["restart"] == "no"
    assert SERVICES["triton"]["depends_on"] == {"export": {"condition": "service_completed_successfully"}}
    assert SERVICES["gateway"]["depends_on"] == {"triton": {"condition": "service_healthy"}}


def test_only_the_export_writes_to_a_volume() -> None:
    for name in LONG_RUNNING:
        assert all(volume.endswith(":ro") for volume in SERVICES[name]["volumes"]), name
    assert "releases:/releases" in SERVICES["export"]["volumes"]


def test_triton_has_the_shared_memory_its_preflight_asks_for() -> None:
    assert default_of(SERVICES["triton"]["shm_size"]) == "1g"


def test_stopping_gateways_may_finish_what_they_accepted() -> None:
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    (grace_s,) = re.findall(r"^(\d+)s$", SERVICES["gateway"]["stop_grace_period"])
    assert int(grace_s) > settings.request_deadline_s + 5


def test_environment_names_are_settings() -> None:
    fields = {"gateway": set(GatewaySettings.model_fields), "triton": set(TritonContainerSettings.model_fields)}
    for name, known in fields.items():
        assert {variable.lower() for variable in SERVICES[name]["environment"]} <= known


def test_the_table_of_settings_is_complete() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    table = (ROOT / "deploy" / "docker" / "README.md").read_text("utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    passed = {
        key for service in SERVICES.values() for key, value in service.get("environment", {}).items() if not value
    }
    passed |= set(COMPOSE["x-build-args"]["args"])
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", table, re.MULTILINE))
    assert set(rows) == set(used) | passed
    for variable, default in used.items():
        if default:
            assert rows[variable] == f"`{default}`", variable


@pytest.mark.parametrize(
    ("image", "module"),
    [("triton", "deploy.triton_container"), ("gateway", "gateway.app"), ("export", "export.cli")],
)
def test_an_image_holds_every_module_of_ours_that_its_program_imports(image: str, module: str) -> None:
    code = f"import sys, {module}; print(*[m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [Path(f).relative_to(ROOT) for f in done.stdout.split() if f.startswith(str(ROOT)) and ".venv" not in f]
    copied = []
    for line in (ROOT / "deploy" / "docker" / f"{image}.Dockerfile").read_text("utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied += [Path(source) for source in line.split()[1:-1]]
    missing = [str(f) for f in ours if not any(f == source or source in f.parents for source in copied)]
    assert ours
    assert missing == []
