"""Servers that are added, removed or moved while a scorer is used."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
import trustme
from deepfake_client import DetectorClosedError, ServerNotTrustedError, ServerUnavailableError, create_detector
from deepfake_client.errors import ConfigurationError, DeadlineExceededError
from deepfake_client.scorer import Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer
from deepfake_client.triton.server_list import parse_address, parse_source

from tests.inference_server import InferenceServer, inference_server, jpeg

_SETTINGS = ClientSettings(look_up_s=0.5, attempts=2)
_PATIENCE_S = 10.0


@pytest.fixture
def servers() -> Iterator[list[InferenceServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(inference_server()) for _ in range(3)]


@pytest.fixture
def listed(tmp_path: Path, servers: list[InferenceServer]) -> Path:
    """A file that lists the first two."""
    return write(tmp_path / "servers", servers[:2])


@pytest.fixture
def scorer(listed: Path) -> Iterator[TritonScorer]:
    made = TritonScorer(f"file:{listed}", _SETTINGS)
    yield made
    made.close()


def write(path: Path, servers: list[InferenceServer]) -> Path:
    partial = path.with_suffix(".new")
    partial.write_text("# one a line\n" + "".join(f"{server.url}\n" for server in servers))
    return partial.replace(path)


def score(scorer: TritonScorer, count: int = 1) -> None:
    for _ in range(count):
        assert scorer.score([jpeg("p=0.5")], Deadline(10)).scores[0].fake_probability == 0.5


def until(scorer: TritonScorer, happened: Callable[[], bool]) -> float:
    """Scores until it has happened; returns the seconds it took."""
    began = time.monotonic()
    while not happened():
        score(scorer)
        assert time.monotonic() - began < _PATIENCE_S
    return time.monotonic() - began


def threads() -> int:
    return sum(thread.name == "server-list" for thread in threading.enumerate())


def test_every_listed_server_is_used_and_no_other(scorer: TritonScorer, servers: list[InferenceServer]) -> None:
    score(scorer, 20)
    first, second, third = (len(server.received) for server in servers)
    assert (first + second, third) == (20, 0)
    assert min(first, second) >= 8


def test_an_added_server_gets_its_share_of_what_comes(
    scorer: TritonScorer, servers: list[InferenceServer], listed: Path
) -> None:
    score(scorer, 40)
    write(listed, servers)
    assert until(scorer, lambda: bool(servers[2].received)) < 5
    before = [len(server.received) for server in servers]
    score(scorer, 30)
    gained = [len(server.received) - count for server, count in zip(servers, before, strict=True)]
    assert min(gained) >= 8  # neither left out nor flooded with what the others had before it came
    assert max(gained) <= 12


def test_a_removed_server_finishes_what_it_has_and_gets_no_more(
    scorer: TritonScorer, servers: list[InferenceServer], listed: Path
) -> None:
    gate = threading.Event()
    servers[0].behaviour.gate = gate
    servers[1].behaviour.delay_s = 0.05
    held = [threading.Thread(target=score, args=(scorer,)) for _ in range(2)]
    for thread in held:
        thread.start()
    deadline = time.monotonic() + _PATIENCE_S
    while not servers[0].received:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    write(listed, servers[1:])
    until(scorer, lambda: bool(servers[2].received))
    had = len(servers[0].received)
    gate.set()
    for thread in held:
        thread.join()
    score(scorer, 20)
    assert len(servers[0].received) == had


def test_an_emptied_or_deleted_list_changes_nothing(scorer: TritonScorer, listed: Path) -> None:
    score(scorer)
    listed.write_text("")
    time.sleep(0.7)
    score(scorer)
    listed.unlink()
    time.sleep(0.7)
    score(scorer)


def test_a_failed_request_finds_servers_that_moved_without_waiting_for_the_next_look(
    servers: list[InferenceServer], listed: Path
) -> None:
    patient = TritonScorer(f"file:{listed}", ClientSettings(look_up_s=60, outage_wait_s=8))
    try:
        score(patient)
        for server in servers[:2]:
            server.stop()
        write(listed, servers[2:])
        began = time.monotonic()
        score(patient)
        assert time.monotonic() - began < 8
    finally:
        patient.close()


def test_a_list_that_is_not_there_yet_is_waited_for(servers: list[InferenceServer], tmp_path: Path) -> None:
    path = tmp_path / "later"
    patient = TritonScorer(f"file:{path}", ClientSettings(look_up_s=0.5, outage_wait_s=8))
    writer = threading.Timer(1.0, write, (path, servers[:1]))
    writer.start()
    try:
        score(patient)
    finally:
        writer.join()
        patient.close()


def test_what_keeps_servers_from_being_known_is_said(tmp_path: Path) -> None:
    path = tmp_path / "servers"
    with create_detector(f"file:{path}", _SETTINGS) as made:
        with pytest.raises(ServerUnavailableError, match=r"no address of a Triton server is known: .*No such file"):
            made.info(5)
        path.write_text("http://somewhere")
        time.sleep(0.7)
        with pytest.raises(ServerUnavailableError, match="'http://somewhere' is not host:port"):
            made.info(5)


class Resolver:
    """What the machine's resolver says of one name; it takes as long as a test likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        self._real = socket.getaddrinfo
        monkeypatch.setattr("deepfake_client.triton.server_list.socket.getaddrinfo", self)

    def __call__(self, host: str, port: int, **options: object) -> list[object]:
        if host != "tritons.test":
            return list(self._real(host, port, **options))  # type: ignore[arg-type]
        self.answers.wait(10)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for one in self.addresses for found in self._real(one, port, **options)]  # type: ignore[arg-type]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


def test_each_address_of_a_name_is_a_server_and_new_ones_are_found(resolver: Resolver) -> None:
    with inference_server("127.0.0.1") as first, inference_server("127.0.0.2", first.port) as second:
        resolver.addresses = [first.host]
        made = TritonScorer(f"dns://tritons.test:{first.port}", _SETTINGS)
        score(made, 5)
        assert (len(first.received), len(second.received)) == (5, 0)
        resolver.addresses = [first.host, second.host]
        assert until(made, lambda: bool(second.received)) < 5
        first.stop()
        resolver.addresses = [second.host]
        score(made, 5)
        made.close()


def test_a_server_with_addresses_of_both_kinds_is_one_server(resolver: Resolver) -> None:
    resolver.addresses = ["::1", "127.0.0.1"]
    assert parse_source("dns:///tritons.test:8001").look() == {"127.0.0.1:8001": "tritons.test"}
    resolver.addresses = ["::1"]
    assert parse_source("dns://tritons.test:8001").look() == {"[::1]:8001": "tritons.test"}


def test_servers_of_a_name_prove_by_the_name_who_they_are(resolver: Resolver, tmp_path: Path) -> None:
    """A certificate is made out to the name, and the addresses behind it come and go."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = InferenceServer()
    issued = authority.issue_cert("tritons.test")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    server.credentials = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])
    server.start()
    resolver.addresses = [server.host]
    settings = ClientSettings(tls_ca_file=tmp_path / "ca.pem", attempts=1)
    by_name, by_address = (TritonScorer(url, settings) for url in (f"dns://tritons.test:{server.port}", server.url))
    try:
        score(by_name)
        with pytest.raises(ServerNotTrustedError):
            score(by_address)
    finally:
        by_name.close()
        by_address.close()
        server.stop()


def test_a_name_that_is_gone_for_a_while_changes_nothing(resolver: Resolver) -> None:
    with inference_server() as server:
        resolver.addresses = [server.host]
        made = TritonScorer(f"dns://tritons.test:{server.port}", _SETTINGS)
        score(made)
        resolver.addresses = []
        time.sleep(0.7)
        score(made)
        made.close()


def test_a_resolver_that_hangs_holds_nobody_beyond_the_deadline(resolver: Resolver) -> None:
    resolver.answers.clear()
    made = TritonScorer("dns://tritons.test:1", _SETTINGS)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        made.info(Deadline(0.3))
    made.close()
    assert time.monotonic() - began < 2
    resolver.answers.set()


def test_a_list_ends_its_thread_and_fixed_addresses_need_none(scorer: TritonScorer, server: InferenceServer) -> None:
    before = threads()
    with create_detector(server.url) as fixed:
        fixed.info(5)
        assert threads() == before
    score(scorer)
    assert threads() == before + 1
    scorer.close()
    deadline = time.monotonic() + _PATIENCE_S
    while threads() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:0", "a:65536", "http://a:1", "a:b"])
def test_addresses_that_are_none(text: str) -> None:
    for form in (text, f"dns://{text}"):
        with pytest.raises(ConfigurationError, match="not host:port"):
            parse_source(form)


def test_addresses_are_written_as_they_are_read() -> None:
    assert [str(parse_address(text)) for text in ("a:1", "grpc://a:1", "[::1]:65535")] == ["a:1", "a:1", "[::1]:65535"]


def test_a_closed_scorer_stays_closed(server: InferenceServer) -> None:
    made = TritonScorer(server.url)
    score(made)
    made.close()
    for call in (lambda: score(made), lambda: made.info(Deadline(5)), lambda: made.completed_requests(1.0)):
        with pytest.raises(DetectorClosedError, match="make another one"):
            call()
    assert len(server.received) == 1


def test_a_call_under_way_fails_when_its_scorer_is_closed(server: InferenceServer) -> None:
    server.behaviour.gate = threading.Event()
    made = TritonScorer(server.url, ClientSettings(outage_wait_s=20))
    closer = threading.Timer(0.5, made.close)
    closer.start()
    began = time.monotonic()
    with pytest.raises(DetectorClosedError):
        score(made)
    assert time.monotonic() - began < 5
    closer.join()
    server.behaviour.gate.set()
