"""One channel over several servers: shares, losses, arrivals, and never two releases in one answer."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import pytest
import trustme

from deepfake_client.errors import ConfigurationError, ServerNotTrustedError, ServerUnavailableError
from deepfake_client.scorer import Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton import endpoint
from deepfake_client.triton.scorer import TritonScorer
from tests.dns_server import dns_server
from tests.inference_server import DESCRIPTION, EXPORT_ID, Behaviour, InferenceServer, inference_server, jpeg

OLD_ID = EXPORT_ID + 1
OLD = {**DESCRIPTION, "release_id": "old", "export_id": OLD_ID}
NEW_RELEASE = DESCRIPTION["release_id"]


def old_release() -> Behaviour:
    return Behaviour(description=OLD, export_id=OLD_ID)


@pytest.fixture
def servers() -> Iterator[list[InferenceServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(inference_server()) for _ in range(3)]


@pytest.fixture
def scorer(servers: list[InferenceServer]) -> Iterator[TritonScorer]:
    made = TritonScorer([server.url for server in servers], ClientSettings(chunk_frames=1, attempts=10))
    made.info(Deadline(10))
    yield made
    made.close()


def score(scorer: TritonScorer, number: int) -> float | None:
    return scorer.score([jpeg(f"p={number / 1000}")], Deadline(20)).scores[0].fake_probability


def score_many(scorer: TritonScorer, count: int) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: score(scorer, number), range(count)))
    assert answers == pytest.approx([number / 1000 for number in range(count)])


def await_share_of(server: InferenceServer, scorer: TritonScorer, patience_s: float = 20) -> float:
    """Scores until the server has answered; returns the seconds it took."""
    began = time.monotonic()
    while not server.received:
        score(scorer, 1)
        assert time.monotonic() - began < patience_s
    return time.monotonic() - began


def test_equal_servers_get_equal_shares(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    for server in servers:
        await_share_of(server, scorer)
    before = [len(server.received) for server in servers]
    score_many(scorer, 90)
    shares = [len(server.received) - had for server, had in zip(servers, before, strict=True)]
    assert sum(shares) == 90
    assert min(shares) >= 25


def test_a_killed_server_loses_no_request(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    for server in servers:
        server.behaviour.delay_s = 0.02
    killer = threading.Timer(0.3, servers[1].stop)
    killer.start()
    score_many(scorer, 200)
    killer.join()
    assert len(servers[1].received) < 60


def test_a_server_that_comes_back_is_used(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[2].stop()
    for number in range(10):
        score(scorer, number)
    servers[2].start()
    servers[2].received.clear()
    await_share_of(servers[2], scorer)


@contextmanager
def stopped_server() -> Iterator[tuple[str, int]]:
    """Address and process of a server that answers now and can be stopped."""
    code = "from tests.inference_server import inference_server as s\nwith s() as t: print(t.url, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        try:
            yield run.stdout.readline().strip(), run.pid
        finally:
            run.kill()


def test_a_stopped_server_costs_what_is_in_flight_until_keepalive(
    servers: list[InferenceServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"grpc.keepalive_time_ms": 500, "grpc.keepalive_timeout_ms": 500, "grpc.http2.ping_timeout_ms": 500}
    monkeypatch.setattr(endpoint, "_CHANNEL_ARGS", tuple({**dict(endpoint._CHANNEL_ARGS), **short}.items()))
    with stopped_server() as (url, pid):
        made = TritonScorer([url, servers[0].url], ClientSettings(chunk_frames=1))
        score_many(made, 20)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        score_many(made, 20)
        assert time.monotonic() - began < 8
        made.close()


def test_a_model_that_hangs_is_left_for_another_server_in_time(servers: list[InferenceServer]) -> None:
    servers[0].behaviour.gate = threading.Event()
    made = TritonScorer([server.url for server in servers[:2]], ClientSettings())
    for _ in range(4):
        assert made.score([jpeg("p=0.5")], Deadline(1)).scores[0].status == "OK"
    made.close()
    assert servers[0].received


def test_a_server_without_the_model_is_left_for_another(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[0].behaviour.served = False
    score_many(scorer, 20)
    assert servers[0].received == []


def test_a_dead_model_process_is_left_for_another(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[0].behaviour.error = (grpc.StatusCode.INTERNAL, "Stub process is not healthy.")
    score_many(scorer, 20)


def test_all_lost_is_an_error(servers: list[InferenceServer]) -> None:
    made = TritonScorer([server.url for server in servers], ClientSettings(attempts=2))
    for server in servers:
        server.stop()
    with pytest.raises(ServerUnavailableError, match="no Triton server answers at"):
        score(made, 1)
    made.close()


def test_one_answer_comes_from_one_release(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[2].behaviour = old_release()
    releases = set()
    for _ in range(6):
        scoring = scorer.score([jpeg("p=0.5"), jpeg("status=4"), *[jpeg("p=0.5")] * 7], Deadline(20))
        assert len({score.export_id for score in scoring.scores}) == 1
        assert scoring.info.export_id == scoring.scores[0].export_id
        releases.add(scoring.info.release_id)
    assert releases <= {NEW_RELEASE, "old"}


def test_each_single_image_is_described_by_the_release_that_scored_it(
    servers: list[InferenceServer], scorer: TritonScorer
) -> None:
    for server in servers[:2]:
        server.behaviour = old_release()
    seen = set()
    for _ in range(12):
        scoring = scorer.score([jpeg("p=0.5")], Deadline(20))
        assert scoring.info.export_id == scoring.scores[0].export_id
        seen.add(scoring.info.release_id)
    assert seen == {NEW_RELEASE, "old"}


def test_a_release_that_goes_away_in_the_middle_leaves_no_score(
    servers: list[InferenceServer], scorer: TritonScorer
) -> None:
    class Replaced(Behaviour):
        """The old release for the first answers of all servers together, and the new one from then on."""

        answered = 0

        @property
        def export_id(self) -> int:
            Replaced.answered += 1
            return OLD_ID if Replaced.answered <= 5 else EXPORT_ID

        @export_id.setter
        def export_id(self, _value: int) -> None: ...

    for server in servers:
        server.behaviour = Replaced()
    scoring = scorer.score([jpeg("p=0.5")] * 8, Deadline(20))
    assert scoring.info.release_id == NEW_RELEASE
    assert {score.export_id for score in scoring.scores} == {EXPORT_ID}


def test_releases_that_never_agree_are_an_error(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    class Changing(Behaviour):
        answered = 0

        @property
        def export_id(self) -> int:
            Changing.answered += 1
            return Changing.answered

        @export_id.setter
        def export_id(self, _value: int) -> None: ...

    for server in servers:
        server.behaviour = Changing()
    with pytest.raises(ServerUnavailableError, match="have different releases"):
        scorer.score([jpeg("p=0.5")] * 4, Deadline(20))


def test_servers_that_are_added_behind_a_name_are_used_and_removed_ones_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Triton ends connections of a certain age, which is when gRPC looks the name up again."""
    with ExitStack() as stack:
        started = []
        for host in ("127.0.0.2", "127.0.0.3"):
            server = InferenceServer(host, started[0].port if started else 0)
            server.options = [("grpc.max_connection_age_ms", 1000)]
            server.start()
            stack.callback(server.stop)
            started.append(server)
        first, added = started
        names = stack.enter_context(dns_server([first.host]))
        made = TritonScorer(names.target(first.port))
        stack.callback(made.close)
        score_many(made, 20)
        names.addresses.append(added.host)
        assert await_share_of(added, made) < 10
        names.addresses.remove(first.host)
        began = time.monotonic()
        while True:
            first.received.clear()
            score_many(made, 20)
            if not first.received:
                break
            assert time.monotonic() - began < 10


def test_a_name_that_had_no_address_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_NEW_CHANNEL_AFTER_S", 0.2)
    with inference_server() as server, dns_server([]) as names:
        made = TritonScorer(names.target(server.port), ClientSettings(outage_wait_s=20))
        threading.Timer(1.0, names.addresses.append, [server.host]).start()
        began = time.monotonic()
        assert score(made, 5) == pytest.approx(0.005)
        assert time.monotonic() - began < 5
        made.close()


def test_servers_of_a_name_prove_that_they_have_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("authority")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("tritons.test")
    server = InferenceServer()
    server.credentials = grpc.ssl_server_credentials(
        [(certificate.private_key_pem.bytes(), b"".join(pem.bytes() for pem in certificate.cert_chain_pems))]
    )
    server.start()
    settings = ClientSettings(tls_ca_file=folder / "ca.pem", attempts=1)
    named = settings.model_copy(update={"tls_server_name": "tritons.test"})
    with dns_server([server.host]) as names:
        for target, chosen in ((names.target(server.port), settings), ([server.url] * 2, named)):
            made = TritonScorer(target, chosen)
            assert score(made, 5) == pytest.approx(0.005)
            made.close()
    by_address = TritonScorer(server.url, settings)
    with pytest.raises(ServerNotTrustedError):
        score(by_address, 5)
    by_address.close()
    server.stop()
    with pytest.raises(ConfigurationError, match="TLS_SERVER_NAME"):
        TritonScorer("127.0.0.1:1,127.0.0.1:2", settings)


def test_a_replaced_channel_lives_until_its_requests_have_ended(
    server: InferenceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_NEW_CHANNEL_AFTER_S", 0.0)
    server.behaviour.gate = threading.Event()
    made = TritonScorer(server.url)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(score, made, 5)
        while not server.received:
            time.sleep(0.01)
        made._endpoint.look_up_again()
        server.behaviour.gate.set()
        assert held.result(10) == pytest.approx(0.005)
    made.close()
