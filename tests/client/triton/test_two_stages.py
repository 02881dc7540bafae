"""Servers that only preprocess make the pixels, others score them; never a score from two releases."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from deepfake_client.errors import (
    DeadlineExceededError,
    ModelFaultError,
    OverloadedError,
    PreprocessUnavailableError,
    ReleasesDifferError,
    ServerUnavailableError,
)
from deepfake_client.scorer import OK, Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer
from tests.inference_server import (
    DESCRIPTION,
    EXPORT_ID,
    FACE_BOX_PX,
    Behaviour,
    FailingFirst,
    InferenceServer,
    inference_server,
    jpeg,
)

QUEUE_FULL = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
DEAD_STUB = (grpc.StatusCode.INTERNAL, "Stub process 'classifier_0_0' is not healthy.")
WRONG_SHAPE = (grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'PIXELS'")
OLD_ID = EXPORT_ID + 1

Make = Callable[..., TritonScorer]


@pytest.fixture
def pool() -> Iterator[InferenceServer]:
    with inference_server() as server:
        yield server


@pytest.fixture
def make(server: InferenceServer, pool: InferenceServer) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(preprocess_url: str = "", **settings: Any) -> TritonScorer:
            given = {"chunk_frames": 4, "preprocess_url": preprocess_url or pool.url, **settings}
            scorer = TritonScorer(server.url, ClientSettings(**given))
            stack.callback(scorer.close)
            return scorer

        yield made


def images(count: int) -> list[bytes]:
    return [jpeg(f"p={number / 100}") for number in range(count)]


def models(server: InferenceServer) -> list[str]:
    return [received.model for received in server.received]


def await_score(scorer: TritonScorer) -> None:
    """gRPC takes up to a second until it tries an address again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            assert scorer.score(images(2), Deadline(10)).scores[0].status == OK
            return
        except ServerUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_answers_are_those_of_the_ensemble(server: InferenceServer, pool: InferenceServer, make: Make) -> None:
    sent = [jpeg("p=0.25 face"), jpeg("status=6"), jpeg("p=0.75"), jpeg("faces=0.2/0.9"), *images(9)]
    boxes = [None, None, None, (210.0, 20.0, 300.0, 130.0), *[None] * 9]
    ensemble = TritonScorer(server.url, ClientSettings())
    expected = ensemble.score(sent, Deadline(10), "request-7", boxes)
    ensemble.close()
    server.received.clear()
    assert make().score(sent, Deadline(10), "request-7", boxes) == expected
    assert expected.scores[0].face_box_px == FACE_BOX_PX
    assert sorted(len(received.images) for received in pool.received) == [1, 4, 4, 4]
    assert set(models(pool)) == {"preprocess"}
    assert models(server) == ["classifier"] * 4
    assert {received.request_id for received in [*server.received, *pool.received]} == {"request-7"}


@pytest.mark.parametrize("passing", [QUEUE_FULL, DEAD_STUB])
@pytest.mark.parametrize("side", ["pool", "server"])
def test_failures_of_either_side_that_may_pass_are_tried_again(
    side: str, passing: tuple[grpc.StatusCode, str], make: Make, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(side).behaviour = FailingFirst(passing, passing)
    scores = make().score(images(8), Deadline(10)).scores
    assert [score.fake_probability for score in scores] == pytest.approx([n / 100 for n in range(8)])


def test_a_pool_that_is_away_is_named(server: InferenceServer, pool: InferenceServer, make: Make) -> None:
    scorer = make()
    pool.stop()
    with pytest.raises(PreprocessUnavailableError, match=rf"{pool.url} \(the preprocess pool\)"):
        scorer.score(images(2), Deadline(10))
    assert server.received == []
    pool.start()
    await_score(scorer)


def test_a_pool_whose_names_have_no_address_is_named(make: Make) -> None:
    with pytest.raises(PreprocessUnavailableError, match="no name in"):
        make("a.invalid:8001,b.invalid:8001").score(images(1), Deadline(3))


def test_a_classifier_that_is_away_is_named(server: InferenceServer, make: Make) -> None:
    scorer = make()
    scorer.info(Deadline(10))
    server.stop()
    with pytest.raises(ServerUnavailableError, match=rf"{server.url} \(the classifier\)") as caught:
        scorer.score(images(2), Deadline(10))
    assert caught.value.code == "MODEL_UNAVAILABLE"
    server.start()
    await_score(scorer)


@pytest.mark.parametrize("side", ["pool", "server"])
def test_an_overloaded_side_is_named(side: str, make: Make, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(side).behaviour.error = QUEUE_FULL
    name = {"pool": "the preprocess pool", "server": "the classifier"}[side]
    with pytest.raises(OverloadedError, match=name):
        make().score(images(1), Deadline(10))


@pytest.mark.parametrize("side", ["pool", "server"])
def test_no_score_is_made_of_two_releases(side: str, make: Make, request: pytest.FixtureRequest) -> None:
    old = Behaviour(description={**DESCRIPTION, "export_id": OLD_ID}, export_id=OLD_ID)
    request.getfixturevalue(side).behaviour = old
    with pytest.raises(ReleasesDifferError, match="have different releases") as caught:
        make().score([jpeg("p=0.5"), jpeg("status=6")], Deadline(10))
    assert caught.value.retryable
    with pytest.raises(ReleasesDifferError):
        make().score([jpeg("status=6")], Deadline(10))


@pytest.mark.parametrize("side", ["pool", "server"])
def test_another_release_that_takes_no_such_request_is_another_release(
    side: str, make: Make, request: pytest.FixtureRequest
) -> None:
    """One without EXPORT_ID, or with pixels of another size."""
    request.getfixturevalue(side).behaviour.error = WRONG_SHAPE
    with pytest.raises(ReleasesDifferError, match="unexpected shape"):
        make().score(images(1), Deadline(10))


def test_a_pool_in_the_middle_of_a_rollout_is_asked_again(
    server: InferenceServer, pool: InferenceServer, make: Make
) -> None:
    with inference_server() as old:
        old.behaviour.export_id = OLD_ID
        scorer = make(f"{pool.url},{old.url}", chunk_frames=1, requests_in_flight=1)
        for _ in range(5):
            scores = scorer.score(images(3), Deadline(20)).scores
            assert [score.export_id for score in scores] == [EXPORT_ID] * 3
        assert old.received, "the old server was never asked"


def test_the_deadline_bounds_both_stages(server: InferenceServer, pool: InferenceServer, make: Make) -> None:
    scorer = make()
    scorer.info(Deadline(10))
    pool.behaviour.delay_s = 0.2
    server.behaviour.gate = threading.Event()
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        scorer.score(images(1), Deadline(2))
    assert time.monotonic() - started < 30
    assert models(server) == ["classifier"]


def test_a_second_stage_that_nobody_waits_for_is_cancelled(
    server: InferenceServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled, deadline = threading.Event(), Deadline(60)
    infer = server.ModelInfer

    def watched(request: Any, context: Any) -> Any:
        context.add_callback(cancelled.set)
        deadline.cancel()
        return infer(request, context)

    monkeypatch.setattr(server, "ModelInfer", watched)
    server.stop()
    server.start()
    scorer = make()
    scorer.info(Deadline(10))
    server.behaviour.gate = threading.Event()
    with pytest.raises(DeadlineExceededError, match="cancelled"):
        scorer.score(images(1), deadline)
    assert cancelled.wait(30)


def test_a_probability_that_is_not_finite_is_a_fault_of_the_model(make: Make) -> None:
    with pytest.raises(ModelFaultError, match="nan"):
        make().score([jpeg("p=nan")], Deadline(10))


def test_only_so_many_chunks_are_under_way_in_both_stages(
    server: InferenceServer, pool: InferenceServer, make: Make
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    class Counting(Behaviour):
        @property
        def delay_s(self) -> float:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.05)
            with lock:
                now -= 1
            return 0.0

        @delay_s.setter
        def delay_s(self, _value: float) -> None: ...

    server.behaviour, pool.behaviour = Counting(), Counting()
    make(chunk_frames=1, requests_in_flight=2).score(images(8), Deadline(30))
    assert most == 2


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no address of a Triton server"):
        ClientSettings(preprocess_url="nowhere")
