"""Whether what the objects say of each other is so. Each policy gives what is wrong, one line each."""

import re
from collections.abc import Iterator, Sequence

from tests.deploy.kubernetes.rendered import NAMESPACE, Manifest, Pods, claims, label, of_kind, pods, selects

SECRETS_OF_THE_USER = {"gateway-api-keys", "gateway-sampling-secret", "hub-token", "object-store"}
"""Made by hand (docs/kubernetes.md): secrets do not belong into a repository."""

_CLUSTER_WIDE = {"Namespace"}


def is_in_the_namespace(objects: Sequence[Manifest]) -> list[str]:
    """All in one namespace, in which only restricted pods are let in."""
    wrong = [
        f"{label(one)}: not in the namespace"
        for one in objects
        if one["kind"] not in _CLUSTER_WIDE and one["metadata"].get("namespace") != NAMESPACE
    ]
    for namespace in of_kind(objects, "Namespace"):
        for mode in ("enforce", "audit", "warn"):
            if namespace["metadata"]["labels"].get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                wrong.append(f"the namespace does not {mode} restricted pods")
    return wrong


def services_have_pods(objects: Sequence[Manifest]) -> list[str]:
    """Every Service selects pods, all of one component, and its ports are theirs."""
    wrong = []
    for service in of_kind(objects, "Service"):
        chosen = [pod for pod in pods(objects) if selects(service["spec"]["selector"], pod.labels)]
        if not chosen or not service["spec"]["selector"]:
            wrong.append(f"{label(service)}: selects no pods")
        for port in service["spec"]["ports"]:
            if any(pod.port(port["targetPort"]) is None for pod in chosen):
                wrong.append(f"{label(service)}: its pods have no port {port['targetPort']}")
            numbers = {pod.port(port["targetPort"]) for pod in chosen}
            if service["spec"].get("clusterIP") == "None" and numbers != {port["port"]}:
                wrong.append(f"{label(service)}: headless, so port {port['port']} must be the pods' own")
    return wrong


def selectors_do_not_overlap(objects: Sequence[Manifest]) -> list[str]:
    """A Deployment selects its own pods and no other's."""
    wrong = []
    for one in of_kind(objects, "Deployment"):
        for pod in pods(objects):
            if selects(one["spec"]["selector"], pod.labels) != (pod.owner == label(one)):
                wrong.append(f"{label(one)}: selector and {pod.owner}")
    return wrong


def autoscalers_have_targets(objects: Sequence[Manifest]) -> list[str]:
    """Each autoscaler has a Deployment without a number of its own; each Deployment without one has a number."""
    wrong = []
    deployments = {one["metadata"]["name"]: one for one in of_kind(objects, "Deployment")}
    scaled = set()
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        scaled.add(target)
        if target not in deployments:
            wrong.append(f"{label(scaler)}: there is no {target}")
        if scaler["spec"]["minReplicas"] < 2 < scaler["spec"]["maxReplicas"]:
            wrong.append(f"{label(scaler)}: a single pod is no service")
    for name, one in deployments.items():
        if (name in scaled) == ("replicas" in one["spec"]):
            wrong.append(f"{label(one)}: the number of its pods is fixed and scaled, or neither")
    return wrong


def budgets_have_pods(objects: Sequence[Manifest]) -> list[str]:
    """Each disruption budget is about the pods of one owner, and lets a node be drained; each scaled one has one."""
    wrong, covered = [], set()
    for budget in of_kind(objects, "PodDisruptionBudget"):
        chosen = [pod.owner for pod in pods(objects) if selects(budget["spec"]["selector"], pod.labels)]
        covered |= set(chosen)
        if len(chosen) != 1:
            wrong.append(f"{label(budget)}: is about {chosen}")
        if budget["spec"].get("maxUnavailable") != 1:
            wrong.append(f"{label(budget)}: a drain takes other than one pod at a time")
    for pod in pods(objects):
        fixed = pod.owner.startswith("Job/") or pod.labels.get("track") == "canary"
        if pod.owner not in covered and not fixed:
            wrong.append(f"{pod.owner}: no disruption budget")
    return wrong


def monitors_have_services(objects: Sequence[Manifest]) -> list[str]:
    """Each ServiceMonitor selects Services that have its ports; where there are any, each metrics port is watched."""
    wrong, watched = [], []
    for monitor in of_kind(objects, "ServiceMonitor"):
        chosen = [
            s for s in of_kind(objects, "Service") if selects(monitor["spec"]["selector"], s["metadata"]["labels"])
        ]
        if not chosen:
            wrong.append(f"{label(monitor)}: selects no Service")
        for service in chosen:
            watched.append(label(service))
            ports = {port["name"] for port in service["spec"]["ports"]}
            if missing := {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} - ports:
                wrong.append(f"{label(monitor)}: {label(service)} has no {missing}")
    with_metrics = [
        label(s) for s in of_kind(objects, "Service") if any(p["name"] == "metrics" for p in s["spec"]["ports"])
    ]
    if of_kind(objects, "ServiceMonitor") and sorted(watched) != sorted(with_metrics):
        wrong.append(f"watched are {watched}, metrics have {with_metrics}")
    return wrong


def references_resolve(objects: Sequence[Manifest]) -> list[str]:
    """ConfigMaps with their keys, Secrets, claims and volumes that pods name are there."""
    maps = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind(objects, "ConfigMap")}
    there_may_be = {one["metadata"]["name"] for documents in claims().values() for one in documents}
    wrong = []
    for pod in pods(objects):
        for kind, name, key in _references(pod):
            if kind == "ConfigMap":
                known = name in maps and (key is None or key in maps[name])
            else:
                known = name in (SECRETS_OF_THE_USER if kind == "Secret" else there_may_be)
            if not known:
                wrong.append(f"{pod.owner}: there is no {kind} {name}" + (f" with {key}" if key else ""))
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
        if mounted != volumes:
            wrong.append(f"{pod.owner}: mounts {sorted(mounted)}, volumes are {sorted(volumes)}")
    return wrong


def _references(pod: Pods) -> Iterator[tuple[str, str, str | None]]:
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], None
    for container in pod.containers:
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if "configMapKeyRef" in source:
                yield "ConfigMap", source["configMapKeyRef"]["name"], source["configMapKeyRef"]["key"]
            if "secretKeyRef" in source:
                yield "Secret", source["secretKeyRef"]["name"], None
        for source in container.get("envFrom", []):
            kind = "Secret" if "secretRef" in source else "ConfigMap"
            yield kind, source["secretRef" if kind == "Secret" else "configMapRef"]["name"], None


def gateways_find_triton(objects: Sequence[Manifest]) -> list[str]:
    """Each address that a gateway has is a headless Service, whose pods are one colour, on its gRPC port.

    With servers that only preprocess it has theirs, too, and both are of one colour.
    """
    wrong = []
    targets = {one["metadata"]["name"]: one for one in of_kind(objects, "ConfigMap") if "TRITON_URL" in one["data"]}
    for pod in pods(objects):
        if pod.labels.get("app.kubernetes.io/component") != "gateway":
            continue
        keys = {key: name for kind, name, key in _references(pod) if kind == "ConfigMap" and key}
        if keys.get("TRITON_URL") not in targets or not set(keys.values()) <= targets.keys():
            wrong.append(f"{pod.owner}: its target is {keys}")
            continue
        colours = set()
        for key, name in keys.items():
            url = targets[name]["data"].get(key, "")
            problem, colour = _colour_of(url, objects)
            wrong += [f"{name}: {url} {problem}"] if problem else []
            colours.add(colour)
        if len(colours) > 1:
            wrong.append(f"{pod.owner}: asks two colours")
        if ("PREPROCESS_URL" in keys) != any(_is_pool(one) for one in pods(objects)):
            wrong.append(f"{pod.owner}: there is a pool without its address, or an address without a pool")
    return wrong


def _is_pool(pod: Pods) -> bool:
    return pod.labels.get("app.kubernetes.io/component") == "preprocess"


def _colour_of(url: str, objects: Sequence[Manifest]) -> tuple[str, str]:
    """What is wrong with an address, and the colour of the pods behind it."""
    match = re.fullmatch(r"dns:///([a-z-]+):(\d+)", url)
    services = [s for s in of_kind(objects, "Service") if match and s["metadata"]["name"] == match[1]]
    if match is None or not services:
        return "is no Service", ""
    (service,) = services
    owners = [pod for pod in pods(objects) if selects(service["spec"]["selector"], pod.labels)]
    if service["spec"].get("clusterIP") != "None":
        return "has one address for all pods", ""
    if [pod.port("grpc") for pod in owners] != [int(match[2])]:
        return "is not the gRPC port of one colour", ""
    return "", owners[0].labels.get("colour", "")
