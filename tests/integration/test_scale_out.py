"""Several real Tritons behind one DNS name, under load: one is killed, one stopped, one added; no request is lost.

They listen on 127.0.0.2, 127.0.0.3, ... at one port, so one name can stand for all of them, as a headless service does
in a cluster. The client is asked first, then the gateway.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from deepfake_client import create_detector
from deepfake_client.triton.scorer import TritonScorer
from deploy.triton.addresses import ServerAddresses
from deploy.triton.server import TritonServer
from deploy.triton.shared_memory import region_prefix
from export.release import Release
from runtime.free_ports import free_ports
from tests.closed_loop import ClosedLoop, longest_gap_s
from tests.dns_server import DnsServer, dns_server
from tests.gateway.gateway_process import run_gateway
from tests.media import photo

pytestmark = pytest.mark.long

THREADS = 6
REQUESTS = 300
"""Of each measured phase."""

START_S = 120.0
PHASE_S = 120.0
USED_WITHIN_S = 30.0
TIMEOUT_S = 40.0
TOLERANCE = 1e-6
SHARE_BOUND = 0.25
"""How far a share may lie from the even one, as a part of it: the servers share the machine's cores."""

NO_CANARIES_S = 1e6  # after the first one: they would be counted with the load's requests

Ask = Callable[[], float]


class Server:
    """One Triton."""

    def __init__(
        self, release: Release, host: str, ports: tuple[int, int, int], folder: Path, stack: ExitStack
    ) -> None:
        folder.mkdir()
        self.host = host
        addresses = ServerAddresses(host, *ports)
        self.triton = TritonServer(
            release, addresses, stack.enter_context(region_prefix(folder)), folder, NO_CANARIES_S, folder / "log"
        )
        stack.callback(self.triton.end, 10.0)
        self._scorer = TritonScorer(addresses.grpc_url)
        stack.callback(self._scorer.close)

    def await_ready(self) -> "Server":
        deadline = time.monotonic() + START_S
        while not self.triton.ready:
            assert self.triton.child.exit_code is None, self.triton.child.log_tail(60)
            assert time.monotonic() < deadline, self.triton.child.log_tail(60)
            time.sleep(0.1)
        return self

    def answered(self) -> int:
        """Requests that it has answered, by its own statistics."""
        return self._scorer.completed_requests(10.0)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.triton.child.pid, number)


class Load(ClosedLoop):
    """Asks on several threads, again and again."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(THREADS)
        self.scores: list[tuple[float, float]] = []
        self.errors: list[str] = []
        self._ask = ask

    def _ask_once(self) -> None:
        try:
            self.scores.append((self._ask(), time.monotonic()))
        except Exception as error:  # whatever it is, it is a lost request
            self.errors.append(f"{type(error).__name__}: {error}")
            self._stop.wait(0.1)

    def await_more(self, count: int) -> None:
        wanted, deadline = len(self.scores) + count, time.monotonic() + PHASE_S
        while len(self.scores) < wanted:
            assert time.monotonic() < deadline, self.errors[:3]
            time.sleep(0.05)

    def shares(self, *servers: Server) -> list[float]:
        """What part of the next requests each server answers, once all have had some."""
        self.await_more(REQUESTS // 4)
        before = [server.answered() for server in servers]
        self.await_more(REQUESTS)
        gained = [server.answered() - count for server, count in zip(servers, before, strict=True)]
        return [count / sum(gained) for count in gained]

    def longest_gap_s(self, since: float) -> float:
        return longest_gap_s((at for _, at in self.scores), since)

    def await_used(self, server: Server) -> None:
        start, deadline = server.answered(), time.monotonic() + USED_WITHIN_S
        while server.answered() == start:
            assert time.monotonic() < deadline, "the added server is not used"
            time.sleep(0.1)


@contextmanager
def client(target: str, _folder: Path, image: bytes) -> Iterator[Ask]:
    with create_detector(target) as detector:
        yield lambda: detector.detect(image, timeout_s=TIMEOUT_S).confidence_score


@contextmanager
def gateway(target: str, folder: Path, image: bytes) -> Iterator[Ask]:
    with run_gateway(SimpleNamespace(url=target), folder, SCORE_CACHE_FRAMES="0") as running:

        def ask() -> float:
            answer = requests.post(f"{running.url}/detect", files={"file": image}, timeout=TIMEOUT_S)
            answer.raise_for_status()
            return float(answer.json()["confidence_score"])

        yield ask


def is_even(shares: list[float]) -> bool:
    return all(abs(share * len(shares) - 1) <= SHARE_BOUND for share in shares)


@pytest.mark.parametrize("front", [client, gateway])
def test_servers_that_come_and_go_lose_no_request(
    front: Callable[..., ExitStack], tiny_release: Release, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        ports = tuple(free_ports(3))
        started = (Server(tiny_release, f"127.0.0.{n}", ports, tmp_path / str(n), stack) for n in range(2, 5))
        first, second = next(started).await_ready(), next(started).await_ready()
        names: DnsServer = stack.enter_context(dns_server([first.host, second.host]))
        ask = stack.enter_context(front(names.target(ports[1]), tmp_path, photo("astronaut.png").read_bytes()))
        expected = ask()
        with Load(ask) as load:
            assert is_even(load.shares(first, second))

            second.signal(signal.SIGKILL)
            killed_at = time.monotonic()
            load.await_more(REQUESTS)
            assert load.longest_gap_s(killed_at) < 5

            third = next(started).await_ready()
            names.addresses = [first.host, third.host]
            load.await_used(third)
            assert is_even(load.shares(first, third))

            third.signal(signal.SIGSTOP)
            stopped_at = time.monotonic()
            load.await_more(REQUESTS)
            assert load.longest_gap_s(stopped_at) < 15
            third.signal(signal.SIGCONT)
            load.await_used(third)

            third.signal(signal.SIGTERM)
            ended_at = time.monotonic()
            while third.triton.child.exit_code is None:
                load.await_more(10)
            load.await_more(REQUESTS // 4)
            assert load.longest_gap_s(ended_at) < 5
    assert load.errors == []
    assert all(abs(score - expected) <= TOLERANCE for score, _ in load.scores)
