"""Everything that people apply is valid, and keeps to every policy."""

import functools
import math
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest
import typer

from deepfake_client import ClientSettings
from deploy.settings import DeploySettings
from export.cli import app as export_app
from gateway import GatewaySettings, create_app
from gateway.app import decode_bytes
from tests.deploy.kubernetes import pod_policies, wiring_policies
from tests.deploy.kubernetes.custom_resources import SCHEMAS
from tests.deploy.kubernetes.network_policies import NAMES, reachable
from tests.deploy.kubernetes.prometheus_rule import ALERTS, prometheus_rule
from tests.deploy.kubernetes.rendered import (
    KUBERNETES,
    Manifest,
    Pods,
    claims,
    foundation,
    label,
    named,
    of_kind,
    overlays,
    pods,
    quantity,
    render,
)
from tests.deploy.settings_variables import variables_of
from tests.service import ROOT

VERSIONS = ("1.28", "1.31", "1.34", "1.37")
"""Of Kubernetes: the newest that the schemas know, and older ones that still run somewhere."""

HARDWARE = {"cpu", "gpu", "multi-gpu", "mig", "dev"}

Policy = Callable[[Sequence[Manifest]], list[str]]

FOR_ALL: dict[str, Policy] = {
    "restricted": pod_policies.runs_restricted,
    "no token": pod_policies.holds_no_token,
    "bounded": pod_policies.is_bounded,
    "probed": pod_policies.is_probed,
    "pinned": pod_policies.has_pinned_images(
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    ),
    "namespace": wiring_policies.is_in_the_namespace,
    "services": wiring_policies.services_have_pods,
    "selectors": wiring_policies.selectors_do_not_overlap,
    "autoscalers": wiring_policies.autoscalers_have_targets,
    "budgets": wiring_policies.budgets_have_pods,
    "monitors": wiring_policies.monitors_have_services,
    "references": wiring_policies.references_resolve,
    "targets": wiring_policies.gateways_find_triton,
}


def test_the_overlays() -> None:
    assert set(overlays()) == HARDWARE | {f"{name}/export" for name in HARDWARE}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(version: str, applied: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read_once = functools.cache(kubernetes_validate.utils.schema_contents)  # megabytes, for every object otherwise
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", read_once)
    seen = set()
    for objects in (foundation(), *claims().values(), *map(render, applied.values())):
        for one in objects:
            if (text := repr(one)) in seen:
                continue
            seen.add(text)
            if one["kind"] not in SCHEMAS:
                kubernetes_validate.validate(one, version, strict=True)
    assert len(seen) > 30


def test_custom_resources_have_the_form_that_their_operators_take(applied: dict[str, Path]) -> None:
    kinds = set()
    for folder in applied.values():
        objects = render(folder)
        for one in of_kind(objects, *SCHEMAS):
            jsonschema.validate(one, SCHEMAS[one["kind"]])
            kinds.add(one["kind"])
    assert kinds == set(SCHEMAS)


@pytest.mark.parametrize("policy", FOR_ALL)
def test_every_overlay_keeps_to_the_policy(policy: str, applied: dict[str, Path]) -> None:
    wrong = {name: FOR_ALL[policy](render(folder)) for name, folder in applied.items()}
    assert {name: problems for name, problems in wrong.items() if problems} == {}


def test_names_are_taken_once(applied: dict[str, Path]) -> None:
    for folder in applied.values():
        names = [label(one) for one in render(folder)]
        assert len(names) == len(set(names))


def expected_connections(objects: Sequence[Manifest]) -> set[tuple[str, str, str, int]]:
    """All that is needed, and so all that there may be."""
    policies = {one["metadata"]["name"] for one in of_kind(objects, "NetworkPolicy")}
    found = set()
    for pod in pods(objects):
        component = pod.labels["app.kubernetes.io/component"]
        fetches = any(container["image"].startswith("rclone/") for container in pod.containers)
        if component == "gateway":
            found |= {("client", pod.owner, "TCP", 5000), ("prometheus", pod.owner, "TCP", 9464)}
            if "gateway-traces" in policies:
                found.add((pod.owner, "collector", "TCP", 4318))
        elif component in ("triton", "preprocess"):
            found |= {("prometheus", pod.owner, "TCP", 8002)}
            gateways = [p for p in pods(objects) if p.labels["app.kubernetes.io/component"] == "gateway"]
            found |= {(gateway.owner, pod.owner, "TCP", 8001) for gateway in gateways}
        if component == "export" or fetches:
            found |= {(pod.owner, name, "TCP", 443) for name in ("internet", "internet over IPv6")}
        if component in ("gateway", "export") or fetches:
            found |= {(pod.owner, name, protocol, 53) for name in NAMES for protocol in ("UDP", "TCP")}
        if fetches and "workload-identity" in policies:
            found |= {(pod.owner, *end) for end in _identity_servers(objects)}
    return found


def _identity_servers(objects: Sequence[Manifest]) -> set[tuple[str, str, int]]:
    """Of EKS or of GKE, by the one policy of that name."""
    policy = named(objects, "NetworkPolicy", "workload-identity")
    if "169.254.170.23/32" in repr(policy):
        return {("EKS Pod Identity", "TCP", 80), ("EKS Pod Identity over IPv6", "TCP", 80)}
    return {("metadata server", "TCP", 80), ("GKE metadata server", "TCP", 988)}


def test_who_reaches_whom_is_what_is_needed(applied: dict[str, Path]) -> None:
    for name, folder in applied.items():
        objects = [*foundation(), *render(folder)]
        assert reachable(objects) == expected_connections(objects), name


def test_what_is_deleted_with_an_overlay_holds_no_data(applied: dict[str, Path]) -> None:
    for folder in applied.values():
        assert of_kind(render(folder), "Namespace", "PersistentVolumeClaim") == []


def test_no_overlay_but_the_one_for_a_single_node_needs_a_claim(applied: dict[str, Path]) -> None:
    """Clusters as they come have no storage class with ReadWriteMany."""
    with_claims = {
        name
        for name, folder in overlays().items()
        for pod in pods(render(folder))
        for volume in pod.spec["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert with_claims == {"dev", "dev/export"}
    assert claims()["releases-one-node"][0]["spec"]["accessModes"] == ["ReadWriteOnce"]
    (media,) = [v for v in _pod(render(applied["gpu, all at once"]), "gateway").spec["volumes"] if v["name"] == "media"]
    assert media["persistentVolumeClaim"] == {"claimName": "media", "readOnly": True}
    assert "emptyDir" not in media


def test_a_triton_pod_fits_on_a_node_of_four_cores(applied: dict[str, Path]) -> None:
    """g5.xlarge, g6.xlarge and g2-standard-4 have some 3.9 cores left for pods, and daemons take a part of them."""
    for name in ("gpu", "cpu", "dev"):
        assert quantity(_pod(render(applied[name]), "triton-blue").serving["resources"]["requests"]["cpu"]) <= 3.5


def test_one_gpu_is_enough_to_try_it(applied: dict[str, Path]) -> None:
    objects = render(applied["dev"])
    (triton,) = [one for one in of_kind(objects, "Deployment") if one["metadata"]["name"] == "triton-blue"]
    assert triton["spec"]["strategy"] == {"type": "Recreate"}
    limits = [(s["spec"]["minReplicas"], s["spec"]["maxReplicas"]) for s in of_kind(objects, "HorizontalPodAutoscaler")]
    assert limits == [(1, 1), (1, 1)]


def test_the_proof_is_where_the_probes_look(gpu: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    dockerfile = (ROOT / "deploy" / "docker" / "triton-gpu.Dockerfile").read_text("utf-8")
    (cache,) = re.findall(r"DEEPFAKE_CACHE_DIR=(\S+)", dockerfile)
    triton = _pod(gpu, "triton-blue").serving
    monkeypatch.setenv("DEEPFAKE_CACHE_DIR", cache)
    monkeypatch.setenv("DEEPFAKE_TRITON_GRPC_PORT", "8001")
    for probe in ("startupProbe", "readinessProbe"):
        assert triton[probe]["exec"]["command"] == ["cat", str(DeploySettings().proof)]


def _pod(objects: Sequence[Manifest], deployment: str) -> Pods:
    return next(pod for pod in pods(objects) if pod.owner == f"Deployment/{deployment}")


def test_the_ingress_leads_to_the_gateway_and_lets_its_largest_body_through(rollout: list[Manifest]) -> None:
    (ingress,) = of_kind(rollout, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = named(rollout, "Service", path["backend"]["service"]["name"])
    assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    limits = {key.partition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    assert int(limits["client-max-body-size"].removesuffix("m")) * 2**20 == settings.max_body_bytes
    assert int(limits["proxy-read-timeout"].removesuffix("s")) > settings.request_deadline_s
    assert limits["limit-req-reject-code"] == "429"


def test_variables_are_settings(services: dict[str, Path]) -> None:
    known = {
        "gateway": variables_of(GatewaySettings) | variables_of(ClientSettings),
        # RELEASE_ID is no setting: the volume mount uses it.
        "triton": variables_of(DeploySettings) | variables_of(ClientSettings) | {"RELEASE_ID"},
    }
    known["preprocess"] = known["triton"]
    for folder in services.values():
        for pod in pods(render(folder)):
            variables = {variable["name"] for variable in pod.serving["env"]}
            assert variables <= known[pod.labels["app.kubernetes.io/component"]], pod.owner


def test_settings_can_be_read(services: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in services.values():
        for pod in pods(render(folder)):
            with monkeypatch.context() as environment:
                for variable in pod.serving["env"]:
                    if "value" in variable:
                        environment.setenv(variable["name"], variable["value"])
                if pod.labels["app.kubernetes.io/component"] == "gateway":
                    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
                    assert pod.port("http") == settings.port
                    assert pod.port("metrics") == settings.metrics_port
                else:
                    triton = DeploySettings()
                    assert triton.triton_http_port == 0
                    assert [pod.port(name) for name in ("grpc", "metrics")] == [
                        triton.triton_grpc_port,
                        triton.triton_metrics_port,
                    ]
                    assert triton.triton_host == "0.0.0.0"


@pytest.mark.parametrize("hardware", sorted(HARDWARE))
def test_the_export_job_s_command_and_variables_exist(hardware: str, applied: dict[str, Path]) -> None:
    (job,) = pods(render(applied[f"{hardware}/export"]))
    (container,) = [one for one in job.containers if one["name"] == "export"]
    assert container["command"][:3] == ["python", "-m", "export"]
    command = typer.main.get_command(export_app)
    context = command.make_context("export", container["command"][3:])
    assert context.params["backend"] == "onnxruntime"
    assert context.params["gpu"] is (hardware != "cpu")
    assert context.params["promote_release"] is False
    known = {"HF_TOKEN_PATH"}  # the hub's own
    for option in command.params:
        names = getattr(option, "envvar", None) or []
        known |= {names} if isinstance(names, str) else set(names)
    assert {variable["name"] for variable in container["env"]} <= known


@pytest.mark.parametrize("hardware", sorted(HARDWARE))
def test_a_release_is_exported_for_the_processors_that_serve_it(hardware: str, applied: dict[str, Path]) -> None:
    (job,) = pods(render(applied[f"{hardware}/export"]))
    (container,) = [one for one in job.containers if one["name"] == "export"]
    (instances,) = [one["value"] for one in container["env"] if one["name"] == "INSTANCES"]
    serving = [_pod(render(applied[hardware]), "triton-blue")]
    if hardware == "gpu":
        serving.append(_pod(render(applied["gpu, with a pool"]), "preprocess-triton-blue"))
    for pod in serving:
        assert int(instances) == math.ceil(quantity(pod.serving["resources"]["limits"]["cpu"]))


@pytest.mark.parametrize(
    ("name", "resource", "count"),
    [
        ("gpu", "nvidia.com/gpu", "1"),
        ("multi-gpu", "nvidia.com/gpu", "4"),
        ("mig", "nvidia.com/mig-1g.10gb", "1"),
        ("dev", "nvidia.com/gpu", "1"),
    ],
)
def test_overlays_ask_for_their_gpus(name: str, resource: str, count: str, applied: dict[str, Path]) -> None:
    for pod in pods(render(applied[name])):
        asked = {key: value for key, value in pod.serving["resources"]["limits"].items() if "/" in key}
        assert asked == ({resource: count} if "triton" in pod.owner else {})


def test_a_pool_needs_no_gpu_and_serves_the_release_of_its_colour(applied: dict[str, Path]) -> None:
    objects = render(applied["gpu, all at once"])
    for colour in ("blue", "green"):
        pool, triton = (_pod(objects, f"{kind}-{colour}") for kind in ("preprocess-triton", "triton"))
        assert pool.serving["command"] == [*triton.serving["command"], "--only-preprocess"]
        assert not any("/" in key for key in pool.serving["resources"]["limits"])
        assert "tolerations" not in pool.spec
        ours, theirs = ([v for v in one.serving["env"] if v["name"] == "RELEASE_ID"] for one in (pool, triton))
        assert ours == theirs
        assert pool.spec["initContainers"] == triton.spec["initContainers"]
        scaler = named(objects, "HorizontalPodAutoscaler", f"preprocess-triton-{colour}")
        assert [metric["resource"]["name"] for metric in scaler["spec"]["metrics"]] == ["cpu"]


@pytest.mark.parametrize("name", sorted(HARDWARE))
def test_the_gate_runs_on_a_gpu_like_those_that_serve(name: str, applied: dict[str, Path]) -> None:
    (job,) = pods(render(applied[f"{name}/export"]))
    (export,) = [one for one in job.containers if one["name"] == "export"]
    triton = next(p for p in pods(render(applied[name])) if p.owner == "Deployment/triton-blue")
    asked, serving = (
        {key for key in container["resources"]["limits"] if "/" in key} for container in (export, triton.serving)
    )
    assert asked == serving
    assert job.spec.get("tolerations") == triton.spec.get("tolerations")
    image = "export" if name == "cpu" else "export-gpu"  # the latter's onnxruntime has CUDA
    assert export["image"].startswith(f"deepfake-serving/{image}:")


def test_no_pod_of_a_cluster_runs_the_wheel_s_server(applied: dict[str, Path]) -> None:
    """It gets no security fixes any more: it is for one machine's own use."""
    for folder in applied.values():
        for pod in pods(render(folder)):
            if pod.labels["app.kubernetes.io/component"] in ("triton", "preprocess"):
                assert pod.serving["image"].startswith("deepfake-serving/triton-gpu:")


def test_releases_are_written_by_the_export_job_alone(applied: dict[str, Path]) -> None:
    for folder in applied.values():
        for pod in pods(render(folder)):
            if pod.labels["app.kubernetes.io/component"] != "export":
                mounts = [m for m in pod.serving["volumeMounts"] if m["name"] in ("releases", "media")]
                assert all(mount["readOnly"] for mount in mounts)


def test_the_alerts_are_those_of_deploy_monitoring(rollout: list[Manifest]) -> None:
    made = KUBERNETES / "components" / "monitoring" / "prometheus-rule.yaml"
    command = "python -m tests.deploy.kubernetes.prometheus_rule"
    assert made.read_text("utf-8") == prometheus_rule(ALERTS.read_text("utf-8")), f"run: {command} > {made}"
    jobs = {
        relabeling["replacement"]
        for monitor in of_kind(rollout, "ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]
        for relabeling in endpoint["relabelings"]
        if relabeling["targetLabel"] == "job"
    }
    named_by_alerts = {job for job in ("deepfake-gateway", "deepfake-triton") if f'job="{job}"' in made.read_text()}
    assert jobs == named_by_alerts == {"deepfake-gateway", "deepfake-triton"}


def test_secrets_are_explained_and_never_committed(applied: dict[str, Path]) -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    for name in wiring_policies.SECRETS_OF_THE_USER:
        assert f"create secret generic {name} " in text
    assert [one for folder in applied.values() for one in of_kind(render(folder), "Secret")] == []


def test_the_gateway_s_liveness_needs_neither_key_nor_triton(gpu: list[Manifest], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("")
    keys.chmod(0o600)
    gateway = next(pod for pod in pods(gpu) if pod.owner == "Deployment/gateway")
    path = gateway.serving["livenessProbe"]["httpGet"]["path"]
    settings = GatewaySettings(api_keys_file=keys, triton_url="127.0.0.1:9", media_root=tmp_path, metrics_enabled=False)
    assert create_app(settings).test_client().get(path).status_code == 200


def test_gateway_pods_hold_every_upload_they_admit(gpu: list[Manifest]) -> None:
    gateway = next(pod for pod in pods(gpu) if pod.owner == "Deployment/gateway")
    (tmp,) = [volume for volume in gateway.spec["volumes"] if volume["name"] == "tmp"]
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    needed = 2 * settings.max_body_bytes * settings.max_in_flight  # the body, and the file out of it
    assert quantity(tmp["emptyDir"]["sizeLimit"]) >= needed
    assert decode_bytes(settings, int(quantity(gateway.serving["resources"]["limits"]["memory"]))) >= 2**30


def test_what_may_leave_the_cluster_reaches_no_network_inside_it(applied: dict[str, Path]) -> None:
    inside = {
        "0.0.0.0/0": {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"},
        "::/0": {"fc00::/7", "fe80::/10"},
    }
    blocks = [
        peer["ipBlock"]
        for folder in applied.values()
        for policy in of_kind(render(folder), "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if peer.get("ipBlock", {}).get("cidr") in inside
    ]
    assert blocks
    assert all(set(block["except"]) == inside[block["cidr"]] for block in blocks)
