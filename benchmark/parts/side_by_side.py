"""Single images, one server against the other: the seed's, LitServe, mosec and ours, over HTTP; ours over gRPC too."""

from dataclasses import dataclass

from benchmark.bench import Bench, Target
from benchmark.contenders.process_tree import stopped
from benchmark.http_rates import closed_loop
from benchmark.parts.grpc_load import GrpcLoad
from benchmark.spread import Spread

CLIENTS = (1, 4)
_ROUNDS = 2


@dataclass(frozen=True)
class ServerRates:
    """One server with so many clients, one value per round.

    Attributes:
        server: Its name.
        clients: Concurrent requests.
        images_per_s: By round.
        p50_ms: By round.
        p99_ms: By round.
    """

    server: str
    clients: int
    images_per_s: list[float]
    p50_ms: list[float]
    p99_ms: list[float]

    def add(self, images_per_s: float, p50_ms: float, p99_ms: float) -> None:
        """Adds a round."""
        self.images_per_s.append(images_per_s)
        self.p50_ms.append(p50_ms)
        self.p99_ms.append(p99_ms)

    def rate(self) -> Spread:
        """Over the rounds."""
        return Spread.of(self.images_per_s)


@dataclass(frozen=True)
class SideBySide:
    """The part's figures.

    Attributes:
        precision: Of the release that LitServe, mosec and ours serve.
        servers: By server and clients.
    """

    precision: str
    servers: list[ServerRates]


def measure(bench: Bench) -> SideBySide:
    """Every server in turn, for each number of clients, each round; servers of others are held still meanwhile.

    LitServe's workers poll while idle: a quarter of a core, which the server under measurement would lack.
    """
    precision = bench.detail
    ours = bench.ours(precision)
    targets = [ours]
    if not bench.options.remote:
        targets = [bench.seed(1), bench.litserve(precision), bench.mosec(precision), ours]
    found: dict[tuple[str, int], ServerRates] = {}
    for number in range(min(bench.options.rounds, _ROUNDS)):
        for clients in CLIENTS:
            for target in targets:
                with stopped(_idle(targets, but=target)):
                    _add_http(bench, target, clients, found)
            with stopped(_idle(targets, but=ours)):
                _add_grpc(bench, ours, clients, found)
            latest = [f"{s.server} {s.images_per_s[-1]:.1f}" for s in found.values() if s.clients == clients]
            bench.say(f"round {number + 1}, {clients} clients, images/s: {', '.join(latest)}")
    return SideBySide(precision, list(found.values()))


def _idle(targets: list[Target], but: Target) -> list[int]:
    """The frameworks' processes; our own and the seed's cost nothing while idle."""
    return [pid for t in targets if t is not but and t.name in ("LitServe", "mosec") for pid in t.pids()]


def _add_http(bench: Bench, target: Target, clients: int, found: dict[tuple[str, int], ServerRates]) -> None:
    rates = found.setdefault((target.name, clients), ServerRates(target.name, clients, [], [], []))
    known = rates.images_per_s[-1] if rates.images_per_s else None
    point = closed_loop(bench, target, clients, known)
    rates.add(point.images_per_s, point.p50_ms, point.p99_ms)


def _add_grpc(bench: Bench, ours: Target, clients: int, found: dict[tuple[str, int], ServerRates]) -> None:
    if bench.options.perf_analyzer is None or not ours.grpc:
        return
    name = f"{ours.name} over gRPC"
    rates = found.setdefault((name, clients), ServerRates(name, clients, [], [], []))
    with GrpcLoad.open(bench, ours) as load:
        point = load.closed(clients, rates.images_per_s[-1] if rates.images_per_s else load.rough_rate())
    rates.add(point.images_per_s, point.p50_ms, point.p99_ms)
