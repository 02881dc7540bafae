"""What every pod must keep to, whatever it does. Each policy gives what is wrong, one line each."""

import re
from collections.abc import Callable, Sequence

from tests.deploy.kubernetes.rendered import Manifest, Pods, of_kind, pods, quantity

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""Those of the restricted Pod Security Standard."""


def runs_restricted(objects: Sequence[Manifest]) -> list[str]:
    """The restricted Pod Security Standard, and a user of our own."""
    wrong = []
    for pod in pods(objects):
        spec, context = pod.spec, pod.spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser", 0) > 0:
            wrong.append(f"{pod.owner}: may run as root")
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            wrong.append(f"{pod.owner}: no seccomp profile")
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            wrong.append(f"{pod.owner}: shares the node's namespaces")
        for volume in spec.get("volumes", []):
            if kinds := set(volume) - {"name"} - _VOLUMES:
                wrong.append(f"{pod.owner}: volume {volume['name']} is {kinds}")
        for container in pod.containers:
            wrong += [f"{pod.owner}: {container['name']} {problem}" for problem in _loose(container)]
    return wrong


def _loose(container: Manifest) -> list[str]:
    context = container.get("securityContext", {})
    wrong = []
    if context.get("allowPrivilegeEscalation") is not False:
        wrong.append("may gain privileges")
    if context.get("privileged"):
        wrong.append("is privileged")
    if context.get("readOnlyRootFilesystem") is not True:
        wrong.append("may write to its root file system")
    if context.get("capabilities") != {"drop": ["ALL"]}:
        wrong.append("has capabilities")
    if {"runAsUser", "runAsNonRoot", "seccompProfile"} & set(context):
        wrong.append("differs from its pod's security context")
    if any("hostPort" in port for port in container.get("ports", [])):
        wrong.append("has a port of the node")
    return wrong


def holds_no_token(objects: Sequence[Manifest]) -> list[str]:
    """No pod gets a token of the API server, nor variables named after other services."""
    wrong = []
    accounts = {one["metadata"]["name"]: one for one in of_kind(objects, "ServiceAccount")}
    for pod in pods(objects):
        if pod.spec.get("automountServiceAccountToken") is not False:
            wrong.append(f"{pod.owner}: mounts a service account's token")
        if pod.spec.get("enableServiceLinks") is not False:
            wrong.append(f"{pod.owner}: gets variables named after services")
        account = accounts.get(pod.spec.get("serviceAccountName", "default"))
        if account is None or account.get("automountServiceAccountToken") is not False:
            wrong.append(f"{pod.owner}: its service account is not one of ours without a token")
    wrong += [f"{one['kind']} gives rights" for one in objects if one["kind"].endswith(("Role", "RoleBinding"))]
    return wrong


def is_bounded(objects: Sequence[Manifest]) -> list[str]:
    """Every container has requests and limits, and what is kept in memory fits into them."""
    wrong = []
    for pod in pods(objects):
        for container in pod.containers:
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            for name in ("cpu", "memory", "ephemeral-storage"):
                if name not in requests or name not in limits:
                    wrong.append(f"{pod.owner}: {container['name']} has no request or limit of {name}")
                elif quantity(requests[name]) > quantity(limits[name]):
                    wrong.append(f"{pod.owner}: {container['name']} requests more {name} than its limit")
            for name in {*requests, *limits} - {"cpu", "memory", "ephemeral-storage"}:
                if requests.get(name) != limits.get(name):
                    wrong.append(f"{pod.owner}: {container['name']} requests and limits differ in {name}")
        wrong += _unbounded_volumes(pod)
    return wrong


def _unbounded_volumes(pod: Pods) -> list[str]:
    wrong, in_memory = [], 0.0
    for volume in pod.spec.get("volumes", []):
        if "emptyDir" not in volume:
            continue
        size = volume["emptyDir"].get("sizeLimit")
        if size is None:
            wrong.append(f"{pod.owner}: volume {volume['name']} has no limit")
        elif volume["emptyDir"].get("medium") == "Memory":
            in_memory += quantity(size)
    limits = [quantity(c.get("resources", {}).get("limits", {}).get("memory", 0)) for c in pod.containers]
    if in_memory and in_memory > 0.7 * max(limits):
        wrong.append(f"{pod.owner}: its volumes may take {in_memory / max(limits):.0%} of its memory")
    return wrong


def is_probed(objects: Sequence[Manifest]) -> list[str]:
    """What serves has the three probes, and each is cheap. Triton is ready by its proof; no gateway asks for Triton."""
    wrong = []
    for pod in pods(objects):
        if pod.owner.startswith("Job/"):
            continue
        container = pod.serving
        is_triton = pod.labels["app.kubernetes.io/component"] in ("triton", "preprocess")
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(name)
            if probe is None:
                wrong.append(f"{pod.owner}: no {name}")
                continue
            if probe.get("exec", {}).get("command", ["cat"])[0] != "cat":
                wrong.append(f"{pod.owner}: its {name} starts a program at each look")
            if "grpc" in probe:
                wrong.append(f"{pod.owner}: its {name} fails where the gRPC port has TLS")
            if not is_triton and probe.get("httpGet", {}).get("path") != "/":
                wrong.append(f"{pod.owner}: its {name} asks for Triton")
            if is_triton and name != "livenessProbe" and "exec" not in probe:
                wrong.append(f"{pod.owner}: its {name} does not wait for the proof")
            if is_triton and name == "livenessProbe" and "exec" in probe:
                wrong.append(f"{pod.owner}: its {name} restarts a pod that is only starting")
    return wrong


def has_pinned_images(version: str) -> Callable[[Sequence[Manifest]], list[str]]:
    """Every image has the tag of one version: ours this project's."""

    def policy(objects: Sequence[Manifest]) -> list[str]:
        wrong = []
        for pod in pods(objects):
            for container in pod.containers:
                name, _, tag = container["image"].partition(":")
                ours = name.startswith("deepfake-serving/")
                if not (tag == version if ours else re.fullmatch(r"v?\d+\.\d+\.\d+", tag)):
                    wrong.append(f"{pod.owner}: image {container['image']}")
        return wrong

    return policy
