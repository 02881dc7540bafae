"""Frames are scored once: what is remembered, for how long, and that no request suffers from another one."""

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deepfake_client import DeadlineExceededError, ModelInfo, OverloadedError, ServerUnavailableError, ServiceError
from deepfake_client.scorer import OK, Deadline, FrameScore, Scoring
from gateway.access.api_keys import key_line, new_key
from gateway.observe.telemetry import Telemetry
from gateway.scoring import caching_scorer
from gateway.scoring.caching_scorer import CachingScorer
from tests.gateway.access.test_api_keys import write_keys
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_detect import upload, video
from tests.gateway.routes.test_health import canaries
from tests.gateway.routes.test_service_errors import wait_until
from tests.inference_server import DESCRIPTION, jpeg

INFO = ModelInfo.model_validate(DESCRIPTION)


def release(number: int) -> ModelInfo:
    return INFO.model_copy(update={"release_id": f"release-{number}", "export_id": number})


@dataclass
class Scripted:
    """A scorer that notes what it is asked. A frame `STATUS:...` gets that status; scores carry their release.

    Attributes:
        number: Of the release that answers.
        before: Called with the images of each call, before they are scored; may block or raise.
        away: Whether it cannot say what it serves, nor score.
        server: What names its start.
    """

    number: int = 1
    before: Callable[[Sequence[bytes]], Any] = lambda images: None
    away: bool = False
    server: str = "started once"
    calls: list[list[bytes]] = field(default_factory=list)
    questions: int = 0

    def info(self, deadline: Deadline) -> ModelInfo:
        self.questions += 1
        if self.away:
            raise ServerUnavailableError("away")
        return release(self.number)

    def score(
        self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", face_boxes_px: Any = None
    ) -> Scoring:
        number = self.number
        self.calls.append(list(images))
        self.boxes = face_boxes_px
        self.before(images)
        if self.away:
            raise ServerUnavailableError("away")
        return Scoring(release(number), [self.answer(image, number) for image in images])

    def answer(self, image: bytes, number: int) -> FrameScore:
        status = image.decode().partition(":")[0] if b":" in image else OK
        p = len(image) / 100
        return FrameScore(status, p, (p, 1 - p), export_id=number) if status == OK else FrameScore(status)

    def server_id(self, deadline: Deadline) -> str:
        if self.away:
            raise ServerUnavailableError("away")
        return self.server

    def close(self) -> None:
        self.calls.append([b"closed"])


class Held:
    """Holds the first call until it is let go; that call may then fail."""

    def __init__(self, failure: ServiceError | None = None) -> None:
        self.gate = threading.Event()
        self._failure = failure
        self._first = True

    def __call__(self, images: Sequence[bytes]) -> None:
        if self._first:
            self._first = False
            assert self.gate.wait(10)
            if self._failure:
                raise self._failure


@pytest.fixture
def inner() -> Scripted:
    return Scripted()


@pytest.fixture
def scorer(inner: Scripted) -> CachingScorer:
    return CachingScorer(inner, 100, Telemetry())


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(8) as made:
        yield made


def ask(scorer: CachingScorer, *images: bytes, timeout_s: float = 5.0) -> Scoring:
    return scorer.score(images, Deadline(timeout_s))


def test_identical_frames_are_scored_once_and_the_answer_is_the_same(inner: Scripted, scorer: CachingScorer) -> None:
    images = [b"a", b"bb", b"DECODE_FAILED:c"]
    first, second = ask(scorer, *images), ask(scorer, *images)
    assert inner.calls == [images]
    assert first == second == inner.score(images, Deadline(1))
    assert all(one is other for one, other in zip(first.scores, second.scores, strict=True))


def test_duplicates_within_a_request_are_scored_once(inner: Scripted, scorer: CachingScorer) -> None:
    images = [b"bb", b"a", b"bb", b"INTERNAL:", b"a", b"INTERNAL:"]
    assert ask(scorer, *images) == Scoring(release(1), [inner.answer(image, 1) for image in images])
    assert inner.calls == [[b"bb", b"a", b"INTERNAL:"]]


def test_each_face_of_a_frame_is_remembered_for_itself(inner: Scripted, scorer: CachingScorer) -> None:
    box, other = (1.0, 2.0, 30.0, 40.0), (50.0, 2.0, 80.0, 40.0)
    ask(scorer, b"a")
    scorer.score([b"a", b"a"], Deadline(5), "", [box, None])
    assert (inner.calls, inner.boxes) == ([[b"a"], [b"a"]], [box])
    scorer.score([b"a", b"a"], Deadline(5), "", [box, other])
    assert (len(inner.calls), inner.boxes) == (3, [other])


def test_only_the_unknown_frames_are_asked_for(inner: Scripted, scorer: CachingScorer) -> None:
    ask(scorer, b"a", b"ccc")
    images = [b"dddd", b"ccc", b"bb", b"a"]
    assert ask(scorer, *images).scores == [inner.answer(image, 1) for image in images]
    assert inner.calls[1:] == [[b"dddd", b"bb"]]


@pytest.mark.parametrize(
    ("status", "kept"),
    [(name, name != "INTERNAL") for name in (row["name"] for row in DESCRIPTION["statuses"].values())]
    + [("STATUS_9", False), ("NEW_NAME", False)],
)
def test_only_what_is_a_property_of_the_image_is_kept(inner: Scripted, status: str, kept: bool) -> None:
    scorer = CachingScorer(inner, 100, Telemetry())
    answers = [ask(scorer, f"{status}:frame".encode()) for _ in range(2)]
    assert [answer.scores[0].status for answer in answers] == [status, status]
    assert len(inner.calls) == (1 if kept else 2)


def test_the_least_recently_used_score_makes_way(inner: Scripted) -> None:
    scorer = CachingScorer(inner, 2, Telemetry())
    ask(scorer, b"a")
    ask(scorer, b"bb")
    ask(scorer, b"a")
    ask(scorer, b"ccc")
    inner.calls.clear()
    ask(scorer, b"a", b"ccc")
    assert inner.calls == []
    ask(scorer, b"bb")
    assert inner.calls == [[b"bb"]]


def test_a_request_of_more_frames_than_are_kept(inner: Scripted) -> None:
    scorer = CachingScorer(inner, 2, Telemetry())
    images = [b"x" * n for n in range(1, 8)]
    for _ in range(2):
        assert ask(scorer, *images).scores == [inner.answer(image, 1) for image in images]
        assert len(scorer._scores) == 2
    assert inner.calls[1] == images[:5]


def test_no_image_is_kept(inner: Scripted, scorer: CachingScorer) -> None:
    image = bytes(bytearray(b"an image that nobody else refers to"))
    before = sys.getrefcount(image)
    ask(scorer, image)
    inner.calls.clear()
    ask(scorer, image)
    assert sys.getrefcount(image) == before


def test_a_new_release_scores_everything_again(inner: Scripted, scorer: CachingScorer) -> None:
    ask(scorer, b"a", b"bb")
    inner.number = 2
    assert ask(scorer, b"a", b"ccc") == Scoring(release(2), [inner.answer(b"a", 2), inner.answer(b"ccc", 2)])
    assert inner.calls[1:] == [[b"ccc"], [b"a", b"ccc"]]
    inner.calls.clear()
    assert ask(scorer, b"ccc", b"a").info == release(2)
    assert inner.calls == []
    assert ask(scorer, b"bb").scores == [inner.answer(b"bb", 2)], "the old release's score is gone"


def test_a_release_that_changes_between_the_two_calls(inner: Scripted, scorer: CachingScorer) -> None:
    def next_release(images: Sequence[bytes]) -> None:
        inner.number += 1

    ask(scorer, b"a")
    inner.number, inner.before = 2, next_release
    assert ask(scorer, b"a", b"bb") == Scoring(release(3), [inner.answer(b"a", 3), inner.answer(b"bb", 3)])


def test_a_release_learnt_from_info_counts(inner: Scripted, scorer: CachingScorer) -> None:
    ask(scorer, b"a")
    inner.number = 2
    assert scorer.info(Deadline(1)) == release(2)
    assert ask(scorer, b"a") == Scoring(release(2), [inner.answer(b"a", 2)])


def test_late_news_of_the_old_release_change_nothing(
    inner: Scripted, scorer: CachingScorer, pool: ThreadPoolExecutor
) -> None:
    ask(scorer, b"a")
    held = inner.before = Held()
    late = pool.submit(ask, scorer, b"late")
    wait_until(lambda: len(inner.calls) == 2)
    inner.number = 2
    ask(scorer, b"bb")
    held.gate.set()
    assert late.result() == Scoring(release(1), [inner.answer(b"late", 1)])
    inner.calls.clear()
    assert ask(scorer, b"bb").info == release(2)
    assert inner.calls == []
    assert ask(scorer, b"late").info == release(2)


def test_requests_that_need_no_scores_notice_a_new_release(
    inner: Scripted, scorer: CachingScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(scorer, b"a")
    inner.number = 2
    assert ask(scorer, b"a").info == release(1), "what was learnt a moment ago is not asked for again"
    assert inner.questions == 0
    monkeypatch.setattr(caching_scorer, "_FRESH_S", 0.0)
    assert ask(scorer, b"a") == Scoring(release(2), [inner.answer(b"a", 2)])
    assert inner.questions == 1


def test_a_server_that_was_started_anew_scores_everything_again(
    inner: Scripted, scorer: CachingScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it may have been damaged: it is asked who it is now and then, and after every failure."""
    ask(scorer, b"a", b"bb")
    inner.server = "started again"
    assert ask(scorer, b"a")
    assert len(inner.calls) == 1
    inner.away = True
    with pytest.raises(ServerUnavailableError):
        ask(scorer, b"ccc")
    inner.away = False
    ask(scorer, b"a")
    assert inner.calls[2:] == [[b"a"]]
    monkeypatch.setattr(caching_scorer, "_FRESH_S", 0.0)
    inner.server = "once more"
    ask(scorer, b"a")
    assert inner.calls[3:] == [[b"a"]]
    for inner.server in ("started again", "once more"):  # both are served: one name, several servers
        ask(scorer, b"a")
    assert len(inner.calls) == 4


def test_servers_that_are_known_may_answer_together_in_any_way(inner: Scripted, scorer: CachingScorer) -> None:
    """As with a preprocess pool: one that makes the pixels, one that scores them."""
    for inner.server in ("classifier-1 pool-1", "classifier-2 pool-2"):
        scorer._servers_asked_at = 0.0
        ask(scorer, b"frame")
    for inner.server in ("classifier-1 pool-2", "classifier-2 pool-1"):
        scorer._servers_asked_at = 0.0
        ask(scorer, b"frame")
    assert len(inner.calls) == 2
    inner.server = "classifier-1 pool-3"
    scorer._servers_asked_at = 0.0
    ask(scorer, b"frame")
    assert len(inner.calls) == 3


def test_what_the_server_before_answered_is_not_kept(inner: Scripted, scorer: CachingScorer) -> None:
    def restart(images: Sequence[bytes]) -> None:
        inner.server = "started again"
        scorer._servers_asked_at = 0.0
        inner.before = lambda images: None
        ask(scorer, b"other")

    inner.before = restart
    ask(scorer, b"a")
    ask(scorer, b"a")
    assert [call for call in inner.calls if b"a" in call] == [[b"a"], [b"a"]]


@pytest.mark.parametrize("hangs", [False, True])
def test_known_frames_need_no_service(
    inner: Scripted, scorer: CachingScorer, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    first = ask(scorer, b"a")
    monkeypatch.setattr(caching_scorer, "_FRESH_S", 0.0)
    monkeypatch.setattr(caching_scorer, "_FRESH_S", 0.5)
    monkeypatch.setattr(caching_scorer, "_PATIENCE_S", 0.3)
    scorer._asked_at = 0.0
    inner.away = True
    if hangs:

        def hang(deadline: Deadline) -> ModelInfo:
            time.sleep(deadline.remaining_s())
            raise DeadlineExceededError("hangs")

        monkeypatch.setattr(inner, "info", hang)
    started = time.monotonic()
    for _ in range(5):
        assert ask(scorer, b"a") == first
    assert time.monotonic() - started < 0.5, "one wait for all of them"
    with pytest.raises(ServerUnavailableError):
        ask(scorer, b"a", b"bb")


def test_a_failure_is_not_remembered(inner: Scripted, scorer: CachingScorer) -> None:
    inner.away = True
    with pytest.raises(ServerUnavailableError):
        ask(scorer, b"a")
    inner.away = False
    assert ask(scorer, b"a").scores == [inner.answer(b"a", 1)]


@pytest.mark.parametrize("seed", range(3))
def test_no_answer_is_of_two_releases(seed: int, pool: ThreadPoolExecutor) -> None:
    """Many requests at once, of few frames, while the release changes back and forth and some calls fail."""
    inner, frames = Scripted(), [b"x" * n for n in range(1, 13)]
    scorer = CachingScorer(inner, 8, Telemetry())
    dice = random.Random(seed)

    def before(images: Sequence[bytes]) -> None:
        time.sleep(dice.random() / 1000)
        if dice.random() < 0.2:
            inner.number = dice.choice([1, 2, 3])
        if dice.random() < 0.1:
            raise OverloadedError("busy")

    def requests(own_seed: int) -> int:
        own, answered = random.Random(own_seed), 0
        for _ in range(150):
            images = own.choices(frames, k=own.randint(1, 6))
            try:
                scoring = ask(scorer, *images)
            except OverloadedError:
                continue
            number = scoring.info.export_id
            assert scoring.scores == [inner.answer(image, number) for image in images]
            answered += 1
        return answered

    inner.before = before
    answered = list(pool.map(requests, range(100 * seed, 100 * seed + 6)))
    assert all(count > 75 for count in answered)
    assert len(scorer._scores) <= 8


def test_a_deadline_that_has_passed_is_not_answered(inner: Scripted, scorer: CachingScorer) -> None:
    ask(scorer, b"a")
    with pytest.raises(DeadlineExceededError):
        ask(scorer, b"a", timeout_s=-1)


def test_no_frames_and_closing_are_the_scorers_matter(inner: Scripted, scorer: CachingScorer) -> None:
    assert ask(scorer) == Scoring(release(1), [])
    scorer.close()
    assert inner.calls == [[], [b"closed"]]


def without_time(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("inference_time", "processing_time_seconds")}


def test_the_gateway_asks_triton_once_per_frame(gateway: Gateway) -> None:
    body = {"mediaType": "VIDEO", "extractedFrames": gateway.frames([0.1, 0.2, 0.1]), "include": ["frames"]}
    clip = video()
    first = [gateway.infer(body), upload(gateway, clip)]
    assert len(gateway.server.received[0].images) == 2
    gateway.server.received.clear()
    second = [gateway.infer(body), upload(gateway, clip)]
    assert gateway.server.received == []
    assert [r.status_code for r in second] == [200, 200]
    assert [without_time(r.json) for r in second] == [without_time(r.json) for r in first]


def test_it_can_be_switched_off(gateway: Gateway) -> None:
    gateway.configure(score_cache_frames=0)
    body = {"mediaType": "VIDEO", "extractedFrames": gateway.frames([0.9, 0.9])}
    for _ in range(2):
        assert gateway.infer(body).status_code == 200
    assert [len(received.images) for received in gateway.server.received] == [2, 2]


def test_clients_with_keys_do_not_share_it(gateway: Gateway, tmp_path: Path) -> None:
    """The time of an answer would tell one of them what another one sent."""
    keys = {name: new_key() for name in ("alice", "bob")}
    lines = [key_line(name, key) for name, key in keys.items()]
    gateway.configure(api_keys_file=write_keys(tmp_path / "keys", *lines))
    body = {"mediaType": "IMAGE", "extractedFrames": gateway.frames([0.9])}
    for name, asked in (("alice", 1), ("bob", 2), ("alice", 2), ("bob", 2)):
        headers = {"X-API-Key": keys[name]}
        assert gateway.http.post("/api/v1/inference", json=body, headers=headers).status_code == 200
        assert len(gateway.server.received) == asked, name


def test_health_is_not_judged_by_remembered_scores(gateway: Gateway) -> None:
    gateway.configure(health_fresh_s=0.2)
    assert upload(gateway, jpeg("p=0.9")).status_code == 200
    time.sleep(0.25)
    assert upload(gateway, jpeg("p=0.9")).status_code == 200
    assert gateway.http.get("/health").status_code == 200
    assert canaries(gateway) == 1
    gateway.server.stop()
    time.sleep(0.25)
    assert upload(gateway, jpeg("p=0.9")).json["confidence_score"] == pytest.approx(0.9)
    assert gateway.http.get("/health").status_code == 503


def test_the_canary_is_never_a_remembered_one(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.scoring.health_monitor.canary_image", lambda: jpeg("p=0.9"))
    gateway.configure(health_fresh_s=0)
    upload(gateway, jpeg("p=0.9"))
    for _ in range(2):
        assert gateway.http.get("/health").status_code == 200
    assert canaries(gateway) == 2
