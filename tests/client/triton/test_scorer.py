import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from deepfake_client.errors import (
    DeadlineExceededError,
    ModelFaultError,
    ModelNotServedError,
    OverloadedError,
    ServerUnavailableError,
    ServiceError,
)
from deepfake_client.scorer import OK, Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.endpoint import _service_error
from deepfake_client.triton.scorer import TritonScorer
from tests.inference_server import DESCRIPTION, EXPORT_ID, FACE_BOX_PX, Behaviour, FailingFirst, InferenceServer, jpeg


@pytest.fixture
def scorer(server: InferenceServer) -> Iterator[TritonScorer]:
    made = TritonScorer(server.url, ClientSettings(chunk_frames=4, attempts=3))
    yield made
    made.close()


def images(count: int) -> list[bytes]:
    return [jpeg(f"p={number / 100}") for number in range(count)]


QUEUE_FULL = (grpc.StatusCode.UNAVAILABLE, "in ensemble 'deepfake_detector', Exceeds maximum queue size")
QUEUE_TIMEOUT = (grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
DEAD_STUB = (grpc.StatusCode.INTERNAL, "Stub process 'preprocess_0_0' is not healthy.\nTraceback: secret")


def test_an_answer_becomes_one_score_per_image(server: InferenceServer, scorer: TritonScorer) -> None:
    scores = scorer.score([jpeg("p=0.25 face"), jpeg("status=6"), jpeg("p=0.75")], Deadline(10)).scores
    good, failed, plain = scores
    assert (good.status, good.fake_probability, good.face_box_px) == (OK, 0.25, FACE_BOX_PX)
    assert good.probabilities == (0.25, 0.75)
    assert good.face_score == pytest.approx(0.9)
    assert good.export_id == EXPORT_ID
    assert failed.status == "DECODE_FAILED"
    assert (failed.fake_probability, failed.probabilities) == (None, None)
    assert (plain.fake_probability, plain.face_box_px, plain.face_score) == (0.75, None, 0.0)
    assert len(server.received) == 1


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (5, [1, 4]), (30, [2, 4, 4, 4, 4, 4, 4, 4])])
def test_frames_are_split_and_come_back_in_order(
    server: InferenceServer, scorer: TritonScorer, count: int, sizes: list[int]
) -> None:
    scores = scorer.score(images(count), Deadline(10), "request-7").scores
    assert [score.fake_probability for score in scores] == pytest.approx([n / 100 for n in range(count)])
    assert sorted(len(received.images) for received in server.received) == sizes
    assert {received.request_id for received in server.received} == {"request-7"}


def test_order_holds_when_later_chunks_answer_first(server: InferenceServer, scorer: TritonScorer) -> None:
    class Slow(Behaviour):
        started = 0

        @property
        def delay_s(self) -> float:
            self.started += 1
            return max(0.0, 0.5 - 0.1 * self.started)

        @delay_s.setter
        def delay_s(self, _value: Any) -> None: ...

    server.behaviour = Slow()
    scores = scorer.score(images(16), Deadline(10)).scores
    assert [score.fake_probability for score in scores] == pytest.approx([n / 100 for n in range(16)])


def test_chunks_are_bounded_in_bytes(server: InferenceServer) -> None:
    large = [jpeg("p=0.5") + b"\0" * 600 for _ in range(4)] + [jpeg("p=0.5") + b"\0" * 5000, jpeg("p=0.5")]
    with_limit = TritonScorer(server.url, ClientSettings(chunk_bytes=1300, chunk_frames=32))
    assert len(with_limit.score(large, Deadline(10)).scores) == 6
    with_limit.close()
    assert sorted(len(received.images) for received in server.received) == [1, 1, 2, 2]


def test_nothing_to_score_asks_nothing(server: InferenceServer, scorer: TritonScorer) -> None:
    assert scorer.score([], Deadline(10)).scores == []
    assert server.received == []


def test_trailing_null_bytes_arrive(server: InferenceServer, scorer: TritonScorer) -> None:
    scorer.score([jpeg("p=0.5") + b"\0\0\0", b""], Deadline(10))
    assert server.received[0].images == (jpeg("p=0.5") + b"\0\0\0", b"")


CODES = [
    ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceededError),
    ("StatusCode.CANCELLED", "Locally cancelled", DeadlineExceededError),
    ("StatusCode.RESOURCE_EXHAUSTED", "pool", OverloadedError),
    ("StatusCode.UNAVAILABLE", "Exceeds maximum queue size", OverloadedError),
    ("StatusCode.UNAVAILABLE", "Request timeout expired", OverloadedError),
    ("StatusCode.UNAVAILABLE", "failed to connect to all addresses", ServerUnavailableError),
    ("StatusCode.UNAVAILABLE", "Request for unknown model: 'x' is not found", ModelNotServedError),
    ("StatusCode.NOT_FOUND", "unknown model", ModelNotServedError),
    ("StatusCode.UNIMPLEMENTED", "no such method", ModelNotServedError),
    ("StatusCode.INVALID_ARGUMENT", "unexpected shape", ModelFaultError),
    ("StatusCode.INTERNAL", "Stub process is not healthy", ServerUnavailableError),
    ("StatusCode.UNKNOWN", "", ServerUnavailableError),
    (None, "", ServerUnavailableError),
]


@pytest.mark.parametrize(("code", "message", "expected"), CODES)
def test_every_row_of_the_error_table(code: str, message: str, expected: type[ServiceError]) -> None:
    error = _service_error(InferenceServerException(msg=message, status=code), "host:8001")
    assert type(error) is expected
    assert "host:8001" in str(error)


def test_only_the_first_line_of_an_internal_error_is_shown(server: InferenceServer, scorer: TritonScorer) -> None:
    server.behaviour.error = DEAD_STUB
    with pytest.raises(ServerUnavailableError, match="not healthy") as caught:
        scorer.score(images(1), Deadline(10))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("passing", [QUEUE_FULL, QUEUE_TIMEOUT, DEAD_STUB])
def test_failures_that_may_pass_are_tried_again(
    server: InferenceServer, scorer: TritonScorer, passing: tuple[grpc.StatusCode, str]
) -> None:
    server.behaviour = FailingFirst(passing, passing)
    (score,) = scorer.score(images(1), Deadline(10)).scores
    assert score.fake_probability == 0.0
    assert len(server.received) == 3


def test_only_the_chunk_that_failed_is_sent_again(server: InferenceServer, scorer: TritonScorer) -> None:
    server.behaviour = FailingFirst(QUEUE_FULL)
    scores = scorer.score(images(16), Deadline(10)).scores
    assert [score.fake_probability for score in scores] == pytest.approx([n / 100 for n in range(16)])
    assert len(server.received) == 4 + 1


def test_attempts_are_limited(server: InferenceServer, scorer: TritonScorer) -> None:
    server.behaviour.error = QUEUE_FULL
    with pytest.raises(OverloadedError):
        scorer.score(images(1), Deadline(10))
    assert len(server.received) == 3


def test_a_server_that_comes_back_is_waited_for(server: InferenceServer) -> None:
    patient = TritonScorer(server.url, ClientSettings(attempts=2, outage_wait_s=20))
    server.stop()
    threading.Timer(1.5, server.start).start()
    assert [score.status for score in patient.score(images(2), Deadline(30)).scores] == ["OK", "OK"]
    patient.close()


def test_a_server_that_stays_away_is_given_up_in_time(server: InferenceServer) -> None:
    patient = TritonScorer(server.url, ClientSettings(attempts=2, outage_wait_s=1))
    server.stop()
    started = time.monotonic()
    with pytest.raises(ServerUnavailableError):
        patient.score(images(1), Deadline(30))
    patient.close()
    assert 1 <= time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("lasting", "expected"),
    [
        ((grpc.StatusCode.INVALID_ARGUMENT, "shape"), ModelFaultError),
        ((grpc.StatusCode.NOT_FOUND, "unknown model"), ModelNotServedError),
        ((grpc.StatusCode.DEADLINE_EXCEEDED, "late"), DeadlineExceededError),
    ],
)
def test_failures_that_last_are_not_tried_again(
    server: InferenceServer, scorer: TritonScorer, lasting: tuple[grpc.StatusCode, str], expected: type[ServiceError]
) -> None:
    server.behaviour.error = lasting
    with pytest.raises(expected):
        scorer.score(images(1), Deadline(10))
    assert len(server.received) == 1


def test_there_is_no_waiting_beyond_the_deadline(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepfake_client.triton.scorer.random.uniform", lambda *_: 5.0)
    server.behaviour.error = QUEUE_FULL
    patient = TritonScorer(server.url, ClientSettings(attempts=10))
    started = time.monotonic()
    with pytest.raises(OverloadedError):
        patient.score(images(1), Deadline(3))
    patient.close()
    assert time.monotonic() - started < 2
    assert len(server.received) == 1


def test_no_answer_before_the_deadline(server: InferenceServer, scorer: TritonScorer) -> None:
    scorer.info(Deadline(10))
    server.behaviour.gate = threading.Event()
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        scorer.score(images(8), Deadline(0.3))
    assert 0.25 < time.monotonic() - started < 1.5


def test_a_deadline_already_passed_sends_nothing(server: InferenceServer, scorer: TritonScorer) -> None:
    with pytest.raises(DeadlineExceededError):
        scorer.score(images(1), Deadline(-1))
    assert server.received == []


def test_requests_are_cancelled_when_the_caller_gives_up(
    server: InferenceServer, scorer: TritonScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = threading.Event()
    infer = server.ModelInfer

    def watched(request: Any, context: Any) -> Any:
        context.add_callback(cancelled.set)
        return infer(request, context)

    monkeypatch.setattr(server, "ModelInfer", watched)
    server.stop()
    server.start()
    scorer.info(Deadline(10))
    server.behaviour.gate = threading.Event()

    def interrupted(*_: Any, **__: Any) -> None:
        while not server.received:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("deepfake_client.triton.scorer.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scorer.score(images(1), Deadline(30))
    assert cancelled.wait(5)


def test_a_probability_that_is_not_finite_is_a_fault_of_the_model(
    server: InferenceServer, scorer: TritonScorer
) -> None:
    with pytest.raises(ModelFaultError, match="nan"):
        scorer.score([jpeg("p=0.5"), jpeg("p=nan")], Deadline(10))
    assert len(server.received) == 1


def test_a_probability_above_one_is_a_fault_of_the_model(scorer: TritonScorer) -> None:
    with pytest.raises(ModelFaultError):
        scorer.score([jpeg("p=1.5")], Deadline(10))


def test_a_missing_output_is_a_fault_of_the_model(server: InferenceServer, scorer: TritonScorer) -> None:
    server.behaviour.drop_output = "FACES"
    with pytest.raises(ModelFaultError, match="nothing as FACES"):
        scorer.score(images(1), Deadline(10))


@pytest.mark.parametrize("name", ["STATUS", "FACES", "FAKE_PROBABILITY", "PROBABILITIES"])
@pytest.mark.parametrize("change", [lambda v: v[:-1], lambda v: v.reshape(-1), lambda v: np.hstack([v, v])[:, :7]])
def test_an_answer_of_the_wrong_shape_is_a_fault_of_the_model(
    scorer: TritonScorer, monkeypatch: pytest.MonkeyPatch, name: str, change: Any
) -> None:
    import tests.inference_server as module

    answer = module._answer

    def changed(sent: Any) -> dict[str, np.ndarray]:
        tensors = answer(sent)
        return {**tensors, name: change(tensors[name])}

    monkeypatch.setattr(module, "_answer", changed)
    if name == "PROBABILITIES" and changed([jpeg("p=0.1")])[name].ndim == 2 and len(changed(images(3))[name]) == 3:
        assert (
            len(scorer.score(images(3), Deadline(10)).scores) == 3
        )  # another number of labels is another model's right
        return
    with pytest.raises(ModelFaultError, match=f"as {name}"):
        scorer.score(images(3), Deadline(10))


def test_the_description_is_read_again_when_another_export_answers(
    server: InferenceServer, scorer: TritonScorer
) -> None:
    server.behaviour.description = {**DESCRIPTION, "export_id": 1, "release_id": "old"}
    assert scorer.info(Deadline(10)).release_id == "old"
    server.behaviour.description = dict(DESCRIPTION)
    assert scorer.info(Deadline(10)).release_id == "old", "known until an answer says otherwise"
    assert scorer.score(images(1), Deadline(10)).scores[0].export_id == EXPORT_ID
    assert scorer.info(Deadline(10)).release_id == DESCRIPTION["release_id"]


def test_a_description_that_no_answer_agrees_with_is_an_error(server: InferenceServer, scorer: TritonScorer) -> None:
    server.behaviour.description = {**DESCRIPTION, "export_id": 1}
    with pytest.raises(ServerUnavailableError, match=rf"answers as export {EXPORT_ID} and describes itself as 1"):
        scorer.score(images(1), Deadline(10))


def test_the_description_is_read_once(
    server: InferenceServer, scorer: TritonScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    endpoint = scorer._endpoint
    original = endpoint.read_info
    monkeypatch.setattr(endpoint, "read_info", lambda timeout_s: reads.append(1) or original(timeout_s))
    for _ in range(3):
        scorer.score([jpeg("status=4"), jpeg("p=0.5")], Deadline(10))
    assert len(reads) == 1


@pytest.mark.parametrize("description", [None, {"model": "x"}, {**DESCRIPTION, "verdict_bands": {"image": {}}}])
def test_a_model_without_a_description_is_refused(
    server: InferenceServer, scorer: TritonScorer, description: dict[str, Any] | None
) -> None:
    server.behaviour.description = description
    with pytest.raises(ModelNotServedError, match="export"):
        scorer.info(Deadline(10))


def test_an_unknown_model(server: InferenceServer, scorer: TritonScorer) -> None:
    server.behaviour.served = False
    with pytest.raises(ModelNotServedError, match="unknown model"):
        scorer.info(Deadline(10))
    server.behaviour.served = True
    assert scorer.info(Deadline(10)).release_id == DESCRIPTION["release_id"]


def test_a_server_that_is_not_there() -> None:
    nowhere = TritonScorer("127.0.0.1:1", ClientSettings(attempts=2))
    with pytest.raises(ServerUnavailableError, match=r"no Triton server answers at 127\.0\.0\.1:1"):
        nowhere.info(Deadline(10))
    nowhere.close()


def test_a_restarted_server_is_found_again(server: InferenceServer, scorer: TritonScorer) -> None:
    scorer.score(images(1), Deadline(10))
    server.stop()
    with pytest.raises(ServiceError):
        scorer.score(images(1), Deadline(2))
    server.start()
    patient = time.monotonic() + 15
    while True:
        try:
            assert scorer.score(images(1), Deadline(5)).scores[0].status == OK
            return
        except ServerUnavailableError:
            assert time.monotonic() < patient
            time.sleep(0.1)


def test_one_scorer_serves_many_threads(server: InferenceServer, scorer: TritonScorer) -> None:
    def score(number: int) -> list[float | None]:
        sent = [jpeg(f"p=0.{number:02}{frame:02}1") for frame in range(9)]
        return [score.fake_probability for score in scorer.score(sent, Deadline(30)).scores]

    with ThreadPoolExecutor(8) as pool:
        for number, got in enumerate(pool.map(score, range(60))):
            assert got == pytest.approx([float(f"0.{number:02}{frame:02}1") for frame in range(9)])


def test_no_connection_is_made_before_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "deepfake_client.triton.endpoint.triton.InferenceServerClient", lambda *_, **__: pytest.fail("connected")
    )
    TritonScorer("127.0.0.1:1").close()


def test_a_proxy_of_the_environment_is_for_others(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy", "grpc_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    direct = TritonScorer(server.url, ClientSettings(attempts=1))
    assert [score.status for score in direct.score(images(1), Deadline(10)).scores] == [OK]
    direct.close()
    by_proxy = TritonScorer(server.url, ClientSettings(attempts=1, use_http_proxy=True))
    with pytest.raises(ServerUnavailableError):
        by_proxy.score(images(1), Deadline(10))
    by_proxy.close()


class Concurrency(Behaviour):
    """Remembers how many inferences were under way at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0
        super().__init__()

    @property
    def delay_s(self) -> float:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.1)
        with self._lock:
            self.now -= 1
        return 0.0

    @delay_s.setter
    def delay_s(self, _value: float) -> None: ...


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_only_so_many_requests_are_under_way(server: InferenceServer, limit: int) -> None:
    server.behaviour = concurrency = Concurrency()
    bounded = TritonScorer(server.url, ClientSettings(chunk_frames=2, requests_in_flight=limit))
    scores = bounded.score(images(24), Deadline(30)).scores
    bounded.close()
    assert [score.fake_probability for score in scores] == pytest.approx([n / 100 for n in range(24)])
    assert concurrency.most == limit
    assert len(server.received) == 12


def test_a_failure_that_may_pass_does_not_keep_other_chunks_from_being_scored(server: InferenceServer) -> None:
    """Else a video of many chunks would need as many attempts as it meets full queues."""
    server.behaviour = FailingFirst(QUEUE_FULL, QUEUE_FULL, QUEUE_FULL)
    bounded = TritonScorer(server.url, ClientSettings(chunk_frames=1, requests_in_flight=1, attempts=2))
    scores = bounded.score(images(6), Deadline(30)).scores
    bounded.close()
    assert [score.fake_probability for score in scores] == pytest.approx([n / 100 for n in range(6)])
    assert len(server.received) == 6 + 3


def test_a_failure_that_lasts_ends_the_call_and_sends_no_more(server: InferenceServer) -> None:
    server.behaviour.error = (grpc.StatusCode.INVALID_ARGUMENT, "shape")
    bounded = TritonScorer(server.url, ClientSettings(chunk_frames=1, requests_in_flight=2))
    with pytest.raises(ModelFaultError):
        bounded.score(images(20), Deadline(30))
    bounded.close()
    assert len(server.received) <= 4


def test_the_deadline_bounds_all_rounds_together(server: InferenceServer) -> None:
    server.behaviour.delay_s = 0.3
    bounded = TritonScorer(server.url, ClientSettings(chunk_frames=1, requests_in_flight=1))
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        bounded.score(images(10), Deadline(1))
    bounded.close()
    assert 0.9 < time.monotonic() - started < 1.5
    assert len(server.received) <= 4
