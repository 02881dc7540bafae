"""Pods come and go without a request lost: the figures that this rests on fit together."""

import re
from pathlib import Path

import pytest

from deploy.preflight import MIN_SHM_BYTES
from deploy.settings import DeploySettings
from deploy.triton.program import CONNECTION_AGE_MS
from deploy.triton.server import STOP_GRACE_S
from gateway import GatewaySettings
from tests.deploy.kubernetes.rendered import KUBERNETES, Manifest, Pods, named, of_kind, pods, quantity, render

DNS_ANSWER_S = 30.0
"""How long CoreDNS keeps an answer, as Kubernetes sets it up."""


def pod(objects: list[Manifest], owner: str) -> Pods:
    (found,) = [one for one in pods(objects) if one.owner == owner]
    return found


def pre_stop_s(found: Pods) -> float:
    command = found.serving["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "sleep"
    return float(command[1])


def longest_start_s(found: Pods) -> float:
    probe = found.serving["startupProbe"]
    return float(probe["periodSeconds"] * probe["failureThreshold"])


def test_new_pods_are_ready_before_old_ones_go(services: dict[str, Path]) -> None:
    for name, folder in services.items():
        if name == "dev":
            continue  # has one GPU
        for strategy in [one["spec"]["strategy"] for one in of_kind(render(folder), "Deployment")]:
            assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_a_gateway_finishes_what_it_accepted(gpu: list[Manifest]) -> None:
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    gateway = pod(gpu, "Deployment/gateway")
    graceful_s = round(settings.request_deadline_s) + 5  # gateway/serve.py
    assert pre_stop_s(gateway) >= 5
    assert gateway.spec["terminationGracePeriodSeconds"] >= pre_stop_s(gateway) + graceful_s + 5


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "multi-gpu", "mig", "dev"])
def test_a_triton_goes_when_nobody_looks_for_it_any_more(overlay: str, services: dict[str, Path]) -> None:
    (triton,) = [p for p in pods(render(services[overlay])) if p.labels["app.kubernetes.io/component"] == "triton"]
    assert pre_stop_s(triton) > DNS_ANSWER_S + 1.1 * CONNECTION_AGE_MS / 1000  # gRPC varies it by a tenth
    assert triton.spec["terminationGracePeriodSeconds"] >= pre_stop_s(triton) + STOP_GRACE_S + 5


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "multi-gpu", "mig", "dev"])
def test_a_slow_start_is_waited_for_and_a_failed_one_is_not(overlay: str, services: dict[str, Path]) -> None:
    (triton,) = [p for p in pods(render(services[overlay])) if p.labels["app.kubernetes.io/component"] == "triton"]
    (start_s,) = [float(v["value"]) for v in triton.serving["env"] if v["name"] == "DEEPFAKE_START_TIMEOUT_S"]
    assert start_s > DeploySettings.model_fields["start_timeout_s"].default
    assert longest_start_s(triton) > start_s  # process 1 says why it failed; the kubelet would not
    (shm,) = [v for v in triton.spec["volumes"] if v["name"] == "shm"]
    assert quantity(shm["emptyDir"]["sizeLimit"]) > MIN_SHM_BYTES


def test_a_health_check_is_waited_for(rollout: list[Manifest]) -> None:
    settings = GatewaySettings(_cli_parse_args=False)  # type: ignore[call-arg]
    for one in of_kind(rollout, "ServiceMonitor"):
        for endpoint in one["spec"]["endpoints"]:
            assert float(endpoint["scrapeTimeout"].removesuffix("s")) > settings.canary_timeout_s


def test_another_colour_is_another_gateway_pod(gpu: list[Manifest]) -> None:
    """The name of the ConfigMap follows its content, so a new colour rolls the gateways, one after another."""
    (variable,) = [v for v in pod(gpu, "Deployment/gateway").serving["env"] if v["name"] == "DEEPFAKE_TRITON_URL"]
    assert re.fullmatch(r"triton-target-[a-z0-9]{10}", variable["valueFrom"]["configMapKeyRef"]["name"])


def test_a_release_is_part_of_the_pod(rollout: list[Manifest], gpu: list[Manifest]) -> None:
    """Another release is another pod template: never another content of a running one."""
    triton = pod(gpu, "Deployment/triton-blue")
    (release,) = [v for v in triton.serving["env"] if v["name"] == "RELEASE_ID"]
    source = release["valueFrom"]["configMapKeyRef"]["name"]
    assert re.fullmatch(r"triton-release-blue-[a-z0-9]{10}", source)
    on_claim = pod(render(KUBERNETES / "overlays" / "dev"), "Deployment/triton-blue")
    (mount,) = [m for m in on_claim.serving["volumeMounts"] if m["name"] == "releases"]
    assert (mount["mountPath"], mount["subPathExpr"]) == ("/releases/current", "$(RELEASE_ID)")
    fetch = pod(rollout, "Deployment/triton-blue").spec["initContainers"][0]
    assert fetch["args"][-2:] == ["store:$(BUCKET)/$(RELEASE_ID)", "/releases/current"]


def test_the_canary_asks_the_other_colour_and_shares_the_service(rollout: list[Manifest]) -> None:
    service = named(rollout, "Service", "gateway")
    assert "track" not in service["spec"]["selector"]
    urls = {
        one["metadata"]["labels"]["track"]: one["data"]["TRITON_URL"]
        for one in of_kind(rollout, "ConfigMap")
        if "TRITON_URL" in one["data"]
    }
    assert urls == {"stable": "dns:///triton-blue:8001", "canary": "dns:///triton-green:8001"}
    releases = {
        name: of_kind([one for one in rollout if one["metadata"]["name"].startswith(name)], "ConfigMap")[0]["data"]
        for name in ("triton-release-blue", "triton-release-green")
    }
    assert releases["triton-release-blue"] != releases["triton-release-green"]
    assert all(re.fullmatch(r"[0-9a-f]{16}", one["RELEASE_ID"]) for one in releases.values())
    ours, theirs = (pod(rollout, f"Deployment/{name}").serving for name in ("gateway", "gateway-canary"))
    for one in (ours, theirs):
        addresses = [v for v in one["env"] if v["name"] in ("DEEPFAKE_TRITON_URL", "DEEPFAKE_PREPROCESS_URL")]
        one["env"] = [v for v in one["env"] if v not in addresses]
        assert len(addresses) == 2
    assert ours == theirs


@pytest.mark.parametrize(
    ("state", "colours", "asked"),
    [
        ("blue", {"blue"}, "blue"),
        ("blue-and-green", {"blue", "green"}, "blue"),
        ("canary", {"blue", "green"}, "blue"),
        ("green-and-blue", {"blue", "green"}, "green"),
        ("green", {"green"}, "green"),
    ],
)
def test_each_state_of_a_rollout_is_a_folder(
    state: str, colours: set[str], asked: str, services: dict[str, Path]
) -> None:
    objects = render(services[f"gpu, {state}"])
    tritons = {one.labels["colour"] for one in pods(objects) if one.labels["app.kubernetes.io/component"] == "triton"}
    assert tritons == colours
    assert any(one["metadata"]["name"] == "gateway-canary" for one in objects) is (state == "canary")
    urls = [one["data"]["TRITON_URL"] for one in of_kind(objects, "ConfigMap") if "TRITON_URL" in one["data"]]
    assert f"dns:///triton-{asked}:8001" in urls
    ids = [one["data"]["RELEASE_ID"] for one in of_kind(objects, "ConfigMap") if "RELEASE_ID" in one["data"]]
    assert len(set(ids)) == len(colours)
    assert "none" not in ids
