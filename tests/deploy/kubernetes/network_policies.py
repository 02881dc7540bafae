"""Who reaches whom: NetworkPolicies, evaluated for pods, neighbours in the cluster and addresses outside of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from tests.deploy.kubernetes.rendered import NAMESPACE, Manifest, Pods, of_kind, pods, selects


@dataclass(frozen=True)
class Party:
    """One end of a connection.

    Attributes:
        name: How the tests call it.
        namespace: Labels of its namespace; empty outside the cluster.
        labels: Of its pod; empty outside the cluster.
        address: Where no pod is meant.
        pod: With its ports, where it is one of ours.
    """

    name: str
    namespace: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    address: str = ""
    pod: Pods | None = None

    @property
    def ours(self) -> bool:
        """Whether our policies are about it."""
        return dict(self.namespace).get("kubernetes.io/metadata.name") == NAMESPACE


def party(name: str, namespace: str, namespace_labels: dict[str, str] | None = None, **labels: str) -> Party:
    """A pod of the cluster; underscores in labels' names stand for hyphens."""
    of_namespace = {"kubernetes.io/metadata.name": namespace, **(namespace_labels or {})}
    of_pod = {key.replace("_", "-"): value for key, value in labels.items()}
    return Party(name, tuple(of_namespace.items()), tuple(of_pod.items()))


OTHERS = [
    party("client", "shop", {"deepfake-serving/client": "true"}),
    party("prometheus", "monitoring"),
    party("dns", "kube-system", k8s_app="kube-dns"),
    party("other system pod", "kube-system"),
    party("stranger", "default"),
    party("stranger within", NAMESPACE),
    Party("internet", address="203.0.113.7"),
    Party("cluster address", address="10.96.0.1"),
    Party("internet over IPv6", address="2001:db8::7"),
    Party("cluster address over IPv6", address="fd00::1"),
    party("collector", "observability", **{"app.kubernetes.io/name": "opentelemetry-collector"}),
    Party("metadata server", address="169.254.169.254"),  # GKE's names too
    Party("GKE metadata server", address="169.254.169.252"),
    Party("EKS Pod Identity", address="169.254.170.23"),
    Party("EKS Pod Identity over IPv6", address="fd00:ec2::23"),
    Party("NodeLocal DNSCache", address="169.254.20.10"),
]

NAMES = ("dns", "NodeLocal DNSCache", "metadata server")
"""Who answers names: the cluster's DNS, the cache of a node, GKE's Cloud DNS."""

PORTS = [(p, n) for p in ("TCP", "UDP") for n in (22, 53, 80, 443, 988, 4318, 5000, 5432, 8000, 8001, 8002, 9464)]


def reachable(objects: Sequence[Manifest]) -> set[tuple[str, str, str, int]]:
    """Every (source, destination, protocol, port) that the policies let through, of those with one of our pods."""
    parties = [*_our_pods(objects), *OTHERS]
    policies = of_kind(objects, "NetworkPolicy")
    return {
        (source.name, target.name, protocol, port)
        for source in parties
        for target in parties
        if source is not target and (source.ours or target.ours)
        for protocol, port in PORTS
        if _passes(policies, "Egress", source, target, protocol, port)
        and _passes(policies, "Ingress", target, source, protocol, port)
    }


def _our_pods(objects: Sequence[Manifest]) -> Iterator[Party]:
    for pod in pods(objects):
        namespace = (("kubernetes.io/metadata.name", NAMESPACE),)
        yield Party(pod.owner, namespace, tuple(pod.labels.items()), pod=pod)


def _passes(
    policies: Sequence[Manifest], direction: str, subject: Party, peer: Party, protocol: str, port: int
) -> bool:
    """Whether the policies about `subject` let traffic in this direction through."""
    if not subject.ours:
        return True
    about = [
        p["spec"]
        for p in policies
        if direction in p["spec"]["policyTypes"] and selects(p["spec"]["podSelector"], dict(subject.labels))
    ]
    side, key = ("to", "egress") if direction == "Egress" else ("from", "ingress")
    listener = peer if direction == "Egress" else subject
    return not about or any(
        any(_is(peer, end) for end in rule[side]) and _on(rule["ports"], listener, protocol, port)
        for spec in about
        for rule in spec.get(key, [])
    )


def _is(peer: Party, end: Manifest) -> bool:
    if "ipBlock" in end:
        if not peer.address:
            return False
        address, block = ip_address(peer.address), end["ipBlock"]
        inside = [ip_network(text) for text in [block["cidr"], *block.get("except", [])]]
        return address in inside[0] and not any(address in network for network in inside[1:])  # never across versions
    if peer.address:
        return False
    in_namespace = selects(end["namespaceSelector"], dict(peer.namespace)) if "namespaceSelector" in end else peer.ours
    return in_namespace and selects(end.get("podSelector", {}), dict(peer.labels))


def _on(ports: Sequence[Manifest], listener: Party, protocol: str, port: int) -> bool:
    for one in ports:
        number = one["port"]
        if isinstance(number, str):
            number = listener.pod.port(number) if listener.pod else None
        if (one["protocol"], number) == (protocol, port):
            return True
    return False
