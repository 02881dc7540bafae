"""Each policy finds what it is about: the real objects with one thing changed."""

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from tests.deploy.kubernetes.custom_resources import SCHEMAS
from tests.deploy.kubernetes.network_policies import reachable
from tests.deploy.kubernetes.rendered import Manifest, named, of_kind
from tests.deploy.kubernetes.test_manifests import FOR_ALL, expected_connections


def triton(objects: list[Manifest]) -> Any:
    """The PodSpec of the blue Tritons."""
    return named(objects, "Deployment", "triton-blue")["spec"]["template"]["spec"]


def container(objects: list[Manifest]) -> Any:
    return triton(objects)["containers"][0]


def fetching(objects: list[Manifest]) -> Any:
    return triton(objects)["initContainers"][0]


def gateway(objects: list[Manifest]) -> Any:
    return named(objects, "Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]


def pool_container(objects: list[Manifest]) -> Any:
    return named(objects, "Deployment", "preprocess-triton-blue")["spec"]["template"]["spec"]["containers"][0]


def gateway_variable(key: str) -> Callable[[list[Manifest]], Any]:
    """The reference of a gateway's variable to a key of its ConfigMap."""

    def find(objects: list[Manifest]) -> Any:
        sources = [variable.get("valueFrom", {}).get("configMapKeyRef", {}) for variable in gateway(objects)["env"]]
        return next(source for source in sources if source.get("key") == key)

    return find


def forget(objects: list[Manifest], key: str) -> None:
    """Takes the variable that has this key from every gateway."""
    for name in ("gateway", "gateway-canary"):
        pod = named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
        pod["env"] = [v for v in pod["env"] if v.get("valueFrom", {}).get("configMapKeyRef", {}).get("key") != key]


def spec(kind: str, name: str) -> Callable[[list[Manifest]], Any]:
    return lambda objects: named(objects, kind, name)["spec"]


def target_map(objects: list[Manifest]) -> Manifest:
    """The ConfigMap with the address that most gateways ask; its name ends with a digest of its content."""
    maps = of_kind(objects, "ConfigMap")
    (found,) = [one for one in maps if one["metadata"].get("labels", {}).get("track") == "stable"]
    return found


def target(objects: list[Manifest]) -> Any:
    return target_map(objects)["data"]


def metadata(kind: str, name: str) -> Callable[[list[Manifest]], Any]:
    return lambda objects: named(objects, kind, name)["metadata"]


def at(find: Callable[[list[Manifest]], Any], *path: str | int, value: Any) -> Callable[[list[Manifest]], None]:
    """Sets what a path leads to."""

    def change(objects: list[Manifest]) -> None:
        place = find(objects)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def without(find: Callable[[list[Manifest]], Any], *path: str | int) -> Callable[[list[Manifest]], None]:
    """Removes what a path leads to."""

    def change(objects: list[Manifest]) -> None:
        place = find(objects)
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def removed(kind: str, name: str) -> Callable[[list[Manifest]], None]:
    return lambda objects: objects.remove(named(objects, kind, name))


def added(one: Manifest) -> Callable[[list[Manifest]], None]:
    return lambda objects: objects.append(one)


CLAIM = {"persistentVolumeClaim": {"claimName": "nobody's"}}
IDENTITY_CIDR = ("egress", 0, "to", 0, "ipBlock", "cidr")

CHANGES: list[tuple[str, str, Callable[[list[Manifest]], None]]] = [
    ("restricted", "may run as root", at(triton, "securityContext", "runAsUser", value=0)),
    ("restricted", "may run as root", without(triton, "securityContext", "runAsNonRoot")),
    ("restricted", "no seccomp profile", at(triton, "securityContext", "seccompProfile", value={"type": "Unconfined"})),
    ("restricted", "shares the node's", at(triton, "hostNetwork", value=True)),
    ("restricted", "volume tmp is", at(triton, "volumes", 0, value={"name": "tmp", "hostPath": {"path": "/"}})),
    ("restricted", "gain privileges", without(container, "securityContext", "allowPrivilegeEscalation")),
    ("restricted", "fetch has capabilities", without(fetching, "securityContext", "capabilities")),
    ("restricted", "has capabilities", at(container, "securityContext", "capabilities", "add", value=["NET_ADMIN"])),
    ("restricted", "may write", at(gateway, "securityContext", "readOnlyRootFilesystem", value=False)),
    ("restricted", "is privileged", at(container, "securityContext", "privileged", value=True)),
    ("restricted", "differs from its pod", at(container, "securityContext", "runAsUser", value=0)),
    ("restricted", "port of the node", at(container, "ports", 0, "hostPort", value=8000)),
    ("no token", "mounts a service account's", at(triton, "automountServiceAccountToken", value=True)),
    ("no token", "named after services", without(triton, "enableServiceLinks")),
    ("probed", "does not wait for the proof", at(pool_container, "readinessProbe", value={"httpGet": {"path": "/"}})),
    ("no token", "not one of ours", without(triton, "serviceAccountName")),
    ("no token", "not one of ours", removed("ServiceAccount", "triton")),
    ("no token", "gives rights", added({"kind": "RoleBinding", "metadata": {"name": "x"}})),
    ("bounded", "limit of memory", without(container, "resources", "limits", "memory")),
    ("bounded", "fetch has no request or limit of cpu", without(fetching, "resources", "requests", "cpu")),
    ("bounded", "requests more cpu", at(container, "resources", "requests", "cpu", value="40")),
    ("bounded", "differ in nvidia.com/gpu", without(container, "resources", "requests", "nvidia.com/gpu")),
    ("bounded", "has no limit", at(triton, "volumes", 0, "emptyDir", value={})),
    ("bounded", "of its memory", at(container, "resources", "limits", "memory", value="1Gi")),
    ("probed", "no livenessProbe", without(container, "livenessProbe")),
    ("probed", "no startupProbe", without(gateway, "startupProbe")),
    ("probed", "does not wait for the proof", at(container, "readinessProbe", value={"tcpSocket": {"port": 8001}})),
    ("probed", "readinessProbe asks for Triton", at(gateway, "readinessProbe", "httpGet", "path", value="/health")),
    ("probed", "startupProbe asks for Triton", at(gateway, "startupProbe", "httpGet", "path", value="/health")),
    ("probed", "where the gRPC port has TLS", at(container, "livenessProbe", value={"grpc": {"port": 8001}})),
    ("probed", "starts a program", at(container, "readinessProbe", "exec", "command", value=["python", "-m", "x"])),
    ("probed", "only starting", at(container, "livenessProbe", value={"exec": {"command": ["cat", "/x"]}})),
    ("pinned", "triton-gpu:latest", at(container, "image", value="deepfake-serving/triton-gpu:latest")),
    ("pinned", "rclone/rclone", at(fetching, "image", value="rclone/rclone")),
    ("pinned", "rclone/rclone:1", at(fetching, "image", value="rclone/rclone:1")),
    ("namespace", "not in the namespace", at(metadata("Service", "gateway"), "namespace", value="x")),
    ("namespace", "does not enforce", at(metadata("Namespace", "deepfake"), "labels", value={})),
    ("services", "selects no pods", at(spec("Service", "triton-blue"), "selector", "colour", value="red")),
    ("services", "selects no pods", at(spec("Service", "triton-blue"), "selector", value={})),
    ("services", "have no port", at(spec("Service", "gateway"), "ports", 0, "targetPort", value="https")),
    ("services", "must be the pods' own", at(spec("Service", "triton-blue"), "ports", 0, "port", value=80)),
    ("selectors", "selector and", without(spec("Deployment", "gateway"), "selector", "matchLabels", "track")),
    ("selectors", "selector and", at(spec("Deployment", "gateway"), "template", "metadata", "labels", value={})),
    ("autoscalers", "there is no", at(spec("HorizontalPodAutoscaler", "gateway"), "scaleTargetRef", "name", value="x")),
    ("autoscalers", "fixed and scaled", at(spec("Deployment", "triton-blue"), "replicas", value=2)),
    ("autoscalers", "or neither", without(spec("Deployment", "gateway-canary"), "replicas")),
    ("autoscalers", "a single pod", at(spec("HorizontalPodAutoscaler", "triton-blue"), "minReplicas", value=1)),
    ("budgets", "is about", at(spec("PodDisruptionBudget", "triton-blue"), "selector", "matchLabels", value={})),
    ("budgets", "other than one", at(spec("PodDisruptionBudget", "gateway"), "maxUnavailable", value=0)),
    ("budgets", "no disruption budget", removed("PodDisruptionBudget", "gateway")),
    ("monitors", "selects no Service", at(spec("ServiceMonitor", "triton"), "selector", "matchLabels", "a", value="b")),
    ("monitors", "has no {'http2'}", at(spec("ServiceMonitor", "triton"), "endpoints", 0, "port", value="http2")),
    ("monitors", "watched are", removed("ServiceMonitor", "gateway")),
    ("references", "no ConfigMap triton-target", lambda objects: objects.remove(target_map(objects))),
    ("references", "no Secret", at(triton, "volumes", 0, value={"name": "tmp", "secret": {"secretName": "nobody's"}})),
    ("references", "no PersistentVolumeClaim", at(triton, "volumes", 0, value={"name": "tmp", **CLAIM})),
    ("references", "no ConfigMap nobody's", at(fetching, "envFrom", 0, "configMapRef", "name", value="nobody's")),
    ("references", "mounts", without(container, "volumeMounts", -1)),
    ("references", "with NONE", at(fetching, "env", 0, "valueFrom", "configMapKeyRef", "key", value="NONE")),
    ("targets", "is no Service", at(target, "TRITON_URL", value="dns:///x:1")),
    ("targets", "is no Service", at(target, "TRITON_URL", value="a:8001")),
    ("targets", "is no Service", at(target, "PREPROCESS_URL", value="dns:///preprocess-blue:8001")),
    ("targets", "asks two colours", at(target, "PREPROCESS_URL", value="dns:///preprocess-triton-green:8001")),
    ("targets", "its target is", at(gateway_variable("PREPROCESS_URL"), "name", value="triton-release")),
    ("targets", "a pool without its address", lambda objects: forget(objects, "PREPROCESS_URL")),
    ("targets", "not the gRPC port", at(target, "TRITON_URL", value="dns:///triton-blue:8002")),
    ("targets", "one address for all", without(spec("Service", "triton-blue"), "clusterIP")),
    ("targets", "not the gRPC port of one", without(spec("Service", "triton-blue"), "selector", "colour")),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "problem", "change"), CHANGES, ids=[f"{p}: {m}" for p, m, _ in CHANGES])
def test_a_policy_finds_what_it_is_about(
    policy: str, problem: str, change: Callable[[list[Manifest]], None], rollout: list[Manifest]
) -> None:
    assert FOR_ALL[policy](rollout) == []
    change(rollout)
    assert any(problem in found for found in FOR_ALL[policy](rollout)), FOR_ALL[policy](rollout)


def test_each_policy_is_tried() -> None:
    assert {policy for policy, _, _ in CHANGES} == set(FOR_ALL)


@pytest.mark.parametrize(
    "change",
    [
        removed("NetworkPolicy", "deny-all"),
        removed("NetworkPolicy", "triton"),
        removed("NetworkPolicy", "gateway"),
        removed("NetworkPolicy", "preprocess"),
        removed("NetworkPolicy", "gateway-preprocess"),
        without(spec("NetworkPolicy", "preprocess"), "ingress", 0),
        without(spec("NetworkPolicy", "gateway"), "ingress", 0, "from", 0, "namespaceSelector", "matchLabels"),
        at(spec("NetworkPolicy", "triton"), "ingress", 0, "ports", 0, "port", value="http"),
        at(spec("NetworkPolicy", "gateway"), "egress", 0, "ports", 0, "port", value=8000),
        without(spec("NetworkPolicy", "names"), "egress", 0, "to", 0, "podSelector"),
        without(spec("NetworkPolicy", "names"), "egress", 0, "to", 1),  # NodeLocal DNSCache
        without(spec("NetworkPolicy", "names"), "egress", 0, "to", 2),  # Cloud DNS
        without(spec("NetworkPolicy", "names"), "egress", 0, "ports", 1),
        removed("NetworkPolicy", "names"),
        removed("NetworkPolicy", "gateway-traces"),
        removed("NetworkPolicy", "workload-identity"),
        at(spec("NetworkPolicy", "workload-identity"), *IDENTITY_CIDR, value="169.254.169.254/32"),
        at(spec("NetworkPolicy", "triton-object-storage"), "egress", 0, "to", 1, "ipBlock", "except", value=[]),
        at(spec("NetworkPolicy", "triton-object-storage"), "egress", 0, "to", 0, "ipBlock", "except", value=[]),
    ],
)
def test_a_changed_network_policy_changes_who_reaches_whom(
    change: Callable[[list[Manifest]], None], rollout: list[Manifest]
) -> None:
    expected = expected_connections(rollout)
    assert reachable(rollout) == expected
    change(rollout)
    assert reachable(rollout) != expected


@pytest.mark.parametrize(
    "change",
    [
        at(spec("ServiceMonitor", "triton"), "endpoints", 0, "relabeling", value=[]),
        at(spec("ServiceMonitor", "triton"), "endpoints", 0, "interval", value="soon"),
        at(spec("PrometheusRule", "deepfake-serving"), "groups", 1, "rules", 0, "fore", value="1m"),
        without(spec("PrometheusRule", "deepfake-serving"), "groups", 1, "rules", 0, "expr"),
    ],
)
def test_a_slip_in_a_custom_resource_is_found(
    change: Callable[[list[Manifest]], None], rollout: list[Manifest]
) -> None:
    change(rollout)
    valid = [jsonschema.Draft202012Validator(SCHEMAS.get(one["kind"], {})).is_valid(one) for one in rollout]
    assert valid.count(False) == 1
