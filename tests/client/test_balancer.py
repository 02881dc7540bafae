"""One scorer over several servers: shares, losses, arrivals, and never two releases in one answer."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from deepfake_client.errors import DeadlineExceededError, ModelNotServedError, ServerUnavailableError
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.balancer import Balancer
from deepfake_client.triton.scorer import TritonScorer

from tests.inference_server import DESCRIPTION, FailingFirst, InferenceServer, inference_server, jpeg

OLD = {**DESCRIPTION, "release_id": "old"}


@pytest.fixture
def servers() -> Iterator[list[InferenceServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(inference_server()) for _ in range(3)]


@pytest.fixture
def scorer(servers: list[InferenceServer]) -> Iterator[TritonScorer]:
    made = TritonScorer([server.url for server in servers], ClientSettings(chunk_frames=1, attempts=4))
    yield made
    made.close()


def score(scorer: TritonScorer, number: int) -> float | None:
    return scorer.score([jpeg(f"p={number / 1000}")], Deadline(20)).scores[0].fake_probability


def test_equal_servers_get_equal_shares(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: score(scorer, number), range(90)))
    assert answers == pytest.approx([number / 1000 for number in range(90)])
    shares = [len(server.received) for server in servers]
    assert sum(shares) == 90
    assert min(shares) > 15


def test_one_video_is_spread_over_all(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    scorer.score([jpeg("p=0.5")] * 12, Deadline(20))
    shares = [len(server.received) for server in servers]
    assert sum(shares) == 12
    assert min(shares) >= 2


def test_a_slow_server_gets_fewer(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[0].behaviour.delay_s = 0.2
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: score(scorer, number), range(60)))
    slow, *fast = [len(server.received) for server in servers]
    assert slow < min(fast) / 2


def test_a_server_that_dies_under_load_fails_no_request(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    for server in servers:
        server.behaviour.delay_s = 0.02
    killer = threading.Timer(0.3, servers[1].stop)
    killer.start()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: score(scorer, number), range(200)))
    killer.join()
    assert answers == pytest.approx([number / 1000 for number in range(200)])
    assert len(servers[1].received) < 60


def test_a_server_that_arrives_is_used(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[2].stop()
    for number in range(30):
        score(scorer, number)
    servers[2].start()
    servers[2].received.clear()
    patience = time.monotonic() + 20
    while len(servers[2].received) < 5:
        score(scorer, 1)
        assert time.monotonic() < patience


def test_a_server_without_the_model_is_left_out(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[0].behaviour.served = False
    for number in range(20):
        score(scorer, number)
    assert servers[0].received == []


def test_all_lost_is_an_error(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    for server in servers:
        server.stop()
    with pytest.raises(ServerUnavailableError, match="no Triton server answers at"):
        score(scorer, 1)


def test_one_answer_comes_from_one_release(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[2].behaviour.description = OLD
    for _ in range(6):
        before = [len(server.received) for server in servers]
        scoring = scorer.score([jpeg("p=0.5")] * 8, Deadline(20))
        new, new_too, old = (len(server.received) - b for server, b in zip(servers, before, strict=True))
        assert (new + new_too, old) == ((0, 8) if scoring.info.release_id == "old" else (8, 0))
    assert len(servers[2].received) in range(8, 41, 8)


def test_a_job_whose_release_goes_away_starts_over_on_another(
    servers: list[InferenceServer], scorer: TritonScorer
) -> None:
    """Two frames are scored by the old release before its server fails: none of their scores survives."""
    servers[2].behaviour.description = OLD
    for server in servers[:2]:
        server.behaviour.served = False
    assert scorer.info(Deadline(10)).release_id == "old"
    for server in servers[:2]:
        server.behaviour.served = True
    gone = (grpc.StatusCode.UNAVAILABLE, "gone")
    servers[2].behaviour = FailingFirst(None, None, *[gone] * 100, description=OLD)
    scoring = scorer.score([jpeg("p=0.5")] * 6, Deadline(20))
    assert len(servers[2].received) > 2
    assert scoring.info.release_id == DESCRIPTION["release_id"]
    assert len(servers[0].received) + len(servers[1].received) == 6


def test_a_pinned_scorer_asks_one_release_only(servers: list[InferenceServer], scorer: TritonScorer) -> None:
    servers[2].behaviour.description = OLD
    scorer.pin("old")
    for number in range(12):
        score(scorer, number)
    assert [len(server.received) for server in servers] == [0, 0, 12]
    scorer.pin(None)
    for number in range(12):
        score(scorer, number)
    assert len(servers[0].received) + len(servers[1].received) > 0


def test_a_pinned_release_that_is_away_is_waited_for_although_others_answer(servers: list[InferenceServer]) -> None:
    servers[0].behaviour.description = OLD
    made = TritonScorer([server.url for server in servers[:2]], ClientSettings(outage_wait_s=15))
    made.pin("old")
    score(made, 1)
    servers[0].stop()
    starter = threading.Timer(1.0, servers[0].start)
    starter.start()
    score(made, 2)
    starter.join()
    made.close()
    assert servers[1].received == []


def test_a_pinned_release_that_is_nowhere_any_more_is_not_waited_for(servers: list[InferenceServer]) -> None:
    made = TritonScorer([server.url for server in servers], ClientSettings(outage_wait_s=15))
    made.pin("gone")
    began = time.monotonic()
    with pytest.raises(ModelNotServedError, match="no server serves the release gone any more"):
        score(made, 1)
    assert time.monotonic() - began < 5
    made.close()


def test_a_server_that_is_rolled_back_serves_a_pinned_release_again(
    servers: list[InferenceServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfake_client.triton.balanced_server._INFO_FRESH_S", 0.3)
    made = TritonScorer([server.url for server in servers[:2]], ClientSettings())
    servers[0].behaviour.description = servers[1].behaviour.description = OLD
    made.pin("old")
    score(made, 1)
    servers[0].behaviour.description = DESCRIPTION
    time.sleep(0.4)
    for number in range(4):
        score(made, number)  # finds out that it is another one now
    servers[0].behaviour.description = OLD
    servers[0].received.clear()
    time.sleep(0.4)
    for number in range(6):
        score(made, number)
    assert servers[0].received
    made.close()


def test_a_server_that_fails_at_once_does_not_attract_requests(
    servers: list[InferenceServer], scorer: TritonScorer
) -> None:
    """It describes itself well and is always idle, since its model process is dead."""
    servers[0].behaviour.error = (grpc.StatusCode.INTERNAL, "Stub process is not healthy.")
    for server in servers[1:]:
        server.behaviour.delay_s = 0.02
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: score(scorer, number), range(100)))
    assert len(servers[0].received) < 12


def test_a_server_that_never_says_a_word_costs_the_others_nothing(servers: list[InferenceServer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = f"127.0.0.1:{silent.getsockname()[1]}"
        made = TritonScorer([dead, servers[0].url], ClientSettings())
        try:
            assert made.info(Deadline(3)).name == "example/detector"
            started = time.monotonic()
            with ThreadPoolExecutor(8) as pool:
                assert all(pool.map(lambda number: score(made, number) is not None, range(16)))
            assert time.monotonic() - started < 12
        finally:
            made.close()


def test_a_server_that_hangs_is_left_for_another(servers: list[InferenceServer]) -> None:
    servers[0].behaviour.gate = threading.Event()
    made = TritonScorer([servers[0].url, servers[1].url], ClientSettings())
    try:
        assert [made.score([jpeg("p=0.5")], Deadline(2)).scores[0].status for _ in range(4)] == ["OK"] * 4
    finally:
        made.close()
    assert servers[0].received


def test_nobody_waits_for_anothers_question_beyond_the_own_deadline() -> None:
    class Slow(Described):
        def read_info(self, timeout_s: float) -> ModelInfo:
            time.sleep(1.5)
            return super().read_info(timeout_s)

    balancer = Balancer([Slow("slow")])
    first = threading.Thread(target=lambda: balancer.info(Deadline(10)))
    first.start()
    time.sleep(0.1)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        balancer.info(Deadline(0.3))
    assert time.monotonic() - started < 1
    first.join()


def test_a_thread_in_a_hurry_does_not_wait_where_another_server_is_idle() -> None:
    class Slow(Described):
        def read_info(self, timeout_s: float) -> ModelInfo:
            time.sleep(1.5)
            return super().read_info(timeout_s)

    balancer = Balancer([Slow("slow"), Described("idle")])
    first = threading.Thread(target=lambda: balancer.info(Deadline(10)))
    first.start()
    time.sleep(0.1)
    hurried = [threading.Thread(target=lambda: balancer.info(Deadline(1))) for _ in range(2)]
    started = time.monotonic()
    for thread in hurried:
        thread.start()
    lease = balancer.take(Deadline(1))
    assert lease is not None
    assert lease.endpoint.url == "idle"
    assert time.monotonic() - started < 1
    for thread in (first, *hurried):
        thread.join()


def test_a_request_that_ends_oddly_is_no_longer_under_way(servers: list[InferenceServer]) -> None:
    made = TritonScorer([servers[0].url, servers[1].url], ClientSettings(attempts=1))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepfake_client.triton.endpoint._parse", interrupted)
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                score(made, 1)
    assert [member.in_flight for member in made._balancer._members] == [0, 0]
    made.close()


class Described:
    """An endpoint that describes itself when it is told to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0
        self.closed = False
        self.error: Exception | None = None

    def close(self) -> None:
        self.closed = True

    def read_info(self, timeout_s: float) -> ModelInfo:
        self.asked += 1
        if self.error:
            raise self.error
        return ModelInfo.from_json(json.dumps(DESCRIPTION))


def test_a_removed_server_is_closed_after_its_last_request_and_not_before() -> None:
    stays, goes, comes = Described("stays"), Described("goes"), Described("comes")
    balancer = Balancer([stays, goes])
    leases = [lease for _ in range(4) if (lease := balancer.take(Deadline(5))) is not None]
    first, second = [lease for lease in leases if lease.endpoint is goes]
    balancer.follow(["stays", "comes"], {"comes": comes}.__getitem__)
    closed = []
    closed.append(goes.closed)
    first.succeeded()
    closed.append(goes.closed)
    second.failed(ServerUnavailableError("away"))
    closed.append(goes.closed)
    assert closed == [False, False, True]
    assert balancer.endpoints == (stays, comes)
    balancer.follow(["stays"], Described)
    assert (comes.closed, stays.closed) == (True, False)  # nothing was under way at the third


def test_a_failed_server_rests_longer_each_time_and_is_asked_before_it_is_used() -> None:
    good, bad = Described("good"), Described("bad")
    bad.error = ServerUnavailableError("away")
    balancer = Balancer([bad, good])
    started = time.monotonic()
    while time.monotonic() - started < 1.5:
        lease = balancer.take(Deadline(5))
        assert lease is not None
        assert lease.endpoint is good
        lease.succeeded()
    assert 2 <= bad.asked <= 4  # at 0, 0.25, 0.75 s
    bad.error = None
    time.sleep(1.1)
    taken = {(lease := balancer.take(Deadline(5))).endpoint.url for _ in range(4)}  # type: ignore[union-attr]
    assert lease is not None
    assert taken == {"good", "bad"}


def test_the_error_that_may_pass_is_the_one_that_is_raised() -> None:
    first, second = Described("first"), Described("second")
    first.error, second.error = ModelNotServedError("not here"), ServerUnavailableError("away")
    with pytest.raises(ServerUnavailableError, match="away"):
        Balancer([first, second]).take(Deadline(5))
