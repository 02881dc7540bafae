"""A real Triton that only preprocesses, and a real Triton with the release: what the two answer together."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import requests

from deepfake_client import create_detector
from deepfake_client.errors import DetectionError, ReleasesDifferError
from deepfake_client.scorer import OK, WHOLE_PICTURE, Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer
from deploy.process import children_of
from deploy.triton.addresses import ServerAddresses
from deploy.triton.canary import Canary
from deploy.triton.server import TritonServer
from deploy.triton.shared_memory import SHM, region_prefix
from export.checkpoint.hub import locate_checkpoint
from export.release import Release
from export.run import export_checkpoint
from export.settings import ExportSettings
from runtime.free_ports import free_ports
from tests.gateway.gateway_process import GatewayProcess, run_gateway
from tests.media import VideoSpec, encode_image, photo, photo_pixels, write_video
from tests.service import Service, run_service
from tests.steady_load import RECOVERY_BOUND_S, SteadyLoad

START_S = 120.0
NO_CANARIES_S = 1e6


class Server:
    """A Triton that can be killed and started again on the same ports."""

    def __init__(self, release: Release, folder: Path, only_preprocess: bool) -> None:
        folder.mkdir(exist_ok=True)
        self.addresses = ServerAddresses("127.0.0.1", 0, *free_ports(2))
        self._release, self._folder, self._only = release, folder, only_preprocess
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return self.addresses.grpc_url

    def start(self) -> "Server":
        prefix = self._stack.enter_context(region_prefix(self._folder))
        self.triton = TritonServer(
            self._release, self.addresses, prefix, self._folder, NO_CANARIES_S, self._folder / "log",
            only_preprocess=self._only,
        )  # fmt: skip
        self._stack.callback(self.triton.end, 10.0)
        deadline = time.monotonic() + START_S
        while not self.triton.ready:
            assert self.triton.failure() == "", self.triton.child.log_tail(60)
            assert time.monotonic() < deadline, self.triton.child.log_tail(60)
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        os.kill(self.triton.child.pid, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def classifier(tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tiny_release, tmp_path_factory.mktemp("classifier"), only_preprocess=False).start()
    yield server
    server.end()


@pytest.fixture(scope="module")
def pool(tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tiny_release, tmp_path_factory.mktemp("pool"), only_preprocess=True).start()
    yield server
    server.end()


def settings(pool: Server | None) -> ClientSettings:
    return ClientSettings(preprocess_url=pool.url if pool else "", further_frames=0)


def test_the_pool_serves_nothing_else(pool: Server) -> None:
    alone = TritonScorer(pool.url, ClientSettings(attempts=1))
    with pytest.raises(DetectionError, match="does not serve the model"):
        alone.info(Deadline(10))
    alone.close()


def test_scores_are_those_of_the_ensemble_bit_for_bit(
    classifier: Server, pool: Server, images: dict[str, bytes]
) -> None:
    two_faces = encode_image(np.hstack([photo_pixels("astronaut.png"), photo_pixels("camera.png")]), "PNG")
    sent = [*images.values(), b"no image", images["astronaut.png"], images["astronaut.png"], two_faces, b""]
    boxes = [None] * (len(images) + 1) + [(190.0, 60.0, 300.0, 200.0), WHOLE_PICTURE, None, None]
    scorings = []
    for preprocess in (None, pool):
        scorer = TritonScorer(classifier.url, settings(preprocess))
        scorings.append(scorer.score(sent, Deadline(60), face_boxes_px=boxes))
        scorer.close()
    ensemble, two_stages = scorings
    assert two_stages == ensemble
    assert [score.status for score in ensemble.scores if score.status != OK] == ["NOT_AN_IMAGE", "EMPTY"]
    assert len(ensemble.scores[-2].faces) == 2


def test_a_video_and_each_face_of_a_picture_get_the_numbers_of_the_ensemble(
    classifier: Server, pool: Server, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "clip.mp4", VideoSpec(frames=40, size=(640, 480)))
    group = tmp_path / "group.png"
    group.write_bytes(encode_image(np.hstack([photo_pixels("astronaut.png"), photo_pixels("camera.png")]), "PNG"))
    for path in (video, group):
        seen = []
        for preprocess in (None, pool):
            with create_detector(classifier.url, settings(preprocess)) as detector:
                output = detector.detect(path)
            seen.append((output.confidence_score, output.metadata["frame_predictions"], output.metadata["people"]))
        assert seen[0] == seen[1]
    assert len(seen[0][1][0]["faces"]) == 2


@pytest.fixture(scope="module")
def other_release(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The same checkpoint, preprocessed otherwise."""
    chosen = ExportSettings(tmp_path_factory.mktemp("other"), precision="fp32", parity_images=8, face_detection=False)
    return export_checkpoint(locate_checkpoint(str(tiny_checkpoint)), chosen)


def test_pixels_of_another_release_are_not_scored(
    classifier: Server, other_release: Release, tmp_path: Path, images: dict[str, bytes]
) -> None:
    other = Server(other_release, tmp_path / "other", only_preprocess=True).start()
    try:
        scorer = TritonScorer(classifier.url, settings(other))
        with pytest.raises(ReleasesDifferError, match="have different releases"):
            scorer.score(list(images.values()), Deadline(60))
        scorer.close()
        with run_gateway(SimpleNamespace(url=classifier.url), tmp_path, PREPROCESS_URL=other.url) as gateway:
            answer = post(gateway, images["astronaut.png"])
            assert (answer.status_code, answer.json()["code"]) == (503, "RELEASES_DIFFER")
            assert requests.get(f"{gateway.url}/health", timeout=10).status_code == 503
    finally:
        other.end()


def post(gateway: GatewayProcess, image: bytes) -> requests.Response:
    return requests.post(f"{gateway.url}/detect", files={"file": image}, timeout=40)


@pytest.fixture
def gateway(classifier: Server, pool: Server, tmp_path: Path) -> Iterator[GatewayProcess]:
    media = tmp_path / "media"
    media.mkdir()
    extra = {
        "PREPROCESS_URL": pool.url,
        "SCORE_CACHE_FRAMES": "0",
        "HEALTH_FRESH_S": "0",
        "TRITON_OUTAGE_WAIT_S": "0",
        "MEDIA_ROOT": str(media),
    }
    with run_gateway(SimpleNamespace(url=classifier.url), tmp_path, **extra) as running:
        yield running


def test_the_gateway_answers_over_both(
    gateway: GatewayProcess, classifier: Server, tmp_path: Path, images: dict[str, bytes]
) -> None:
    for name, image in images.items():
        (tmp_path / "media" / name).write_bytes(image)
    alone = TritonScorer(classifier.url, settings(None))
    before = alone.completed_requests(10.0)
    expected = [score.fake_probability for score in alone.score(list(images.values()), Deadline(60)).scores]
    asked = {"mediaType": "VIDEO", "extractedFrames": list(images), "include": ["frames"]}
    inference = requests.post(f"{gateway.url}/api/v1/inference", json=asked, timeout=40).json()
    assert [frame["fake_probability"] for frame in inference["frames"]] == expected
    assert post(gateway, images["coffee.png"]).json()["confidence_score"] == expected[0]
    assert alone.completed_requests(10.0) - before == 1, "the gateway asked the ensemble"
    alone.close()


@pytest.mark.parametrize(
    ("side", "code", "said"),
    [
        ("pool", "PREPROCESS_UNAVAILABLE", "The preprocess pool does not answer"),
        ("classifier", "MODEL_UNAVAILABLE", "The inference server does not answer"),
    ],
)
def test_a_side_that_is_killed_is_named_and_comes_back(
    side: str, code: str, said: str, gateway: GatewayProcess, images: dict[str, bytes], request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(side)
    score = post(gateway, images["astronaut.png"]).json()["confidence_score"]
    server.kill()
    refused = post(gateway, images["astronaut.png"])
    assert (refused.status_code, refused.json()["code"]) == (503, code)
    assert said in refused.json()["message"]
    assert int(refused.headers["Retry-After"]) > 0
    health = requests.get(f"{gateway.url}/health", timeout=10)
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    server.start()
    deadline = time.monotonic() + RECOVERY_BOUND_S
    while (answer := post(gateway, images["astronaut.png"])).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    assert answer.json()["confidence_score"] == score
    assert requests.get(f"{gateway.url}/health", timeout=10).status_code == 200


def test_what_a_pool_has_classified_is_progress(classifier: Server, pool: Server, images: dict[str, bytes]) -> None:
    """A Triton that is slow to answer a canary is started again only where it answers nobody else."""
    canary, scorer = Canary(classifier.url), TritonScorer(classifier.url, settings(pool))
    before = canary.completed_requests()
    scorer.score(list(images.values()), Deadline(30))
    after = canary.completed_requests()
    assert before is not None
    assert after is not None
    assert after > before
    canary.close()
    scorer.close()


def test_a_start_of_either_side_is_noticed(classifier: Server, pool: Server) -> None:
    """Scores are remembered until then."""
    scorer = TritonScorer(classifier.url, settings(pool).model_copy(update={"outage_wait_s": 20.0}))
    first = scorer.server_id(Deadline(10))
    assert first == scorer.server_id(Deadline(10))
    pool.kill()
    pool.start()
    scorer.score([photo("coffee.png").read_bytes()], Deadline(30))
    assert first.split()[0] == scorer.server_id(Deadline(10)).split()[0]
    assert first.split()[1] != scorer.server_id(Deadline(10)).split()[1]
    scorer.close()


def consecutive_free_ports(count: int) -> int:
    """The first one."""
    while True:
        (first,) = free_ports(1)
        with contextlib.suppress(OSError, OverflowError), ExitStack() as held:
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def test_one_command_runs_them_and_starts_them_again(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path, images: dict[str, bytes]
) -> None:
    first = consecutive_free_ports(4)
    extra = {
        "DEEPFAKE_PREPROCESS_SERVERS": "2",
        "DEEPFAKE_PREPROCESS_GRPC_PORT": str(first),
        "DEEPFAKE_SCORE_CACHE_FRAMES": "0",
    }
    with run_service(tiny_checkpoint, tiny_release.path.parent, tmp_path, extra) as service:
        pool = [TritonScorer(f"127.0.0.1:{port}", ClientSettings(model="preprocess")) for port in (first, first + 2)]
        before = [one.completed_requests(10) for one in pool]
        sent = {"files": {"file": images["astronaut.png"]}, "timeout": 40}
        scores = {requests.post(f"{service.url}/detect", **sent).json()["confidence_score"] for _ in range(20)}
        assert len(scores) == 1
        assert all(one.completed_requests(10) > count for one, count in zip(pool, before, strict=True))
        os.kill(server_of_port(service, first), signal.SIGKILL)
        with SteadyLoad(service.url, images["astronaut.png"]) as load:
            load.await_success(12, after=time.monotonic())
            deadline = time.monotonic() + RECOVERY_BOUND_S
            while "preprocess server 1 answers again" not in service.printed():
                assert time.monotonic() < deadline, service.printed()
                time.sleep(0.1)
            load.await_success(12, after=time.monotonic())
        assert load.failures(0.0) == []
        assert {answer.score for answer in load.answers} == scores
        processes = {pid for pid in children_of(service.process.pid) if "tritonserver" in command_of(pid)}
        stubs = sum(len(children_of(pid)) for pid in processes)
        prefix = next(service.run_dir.glob("deepfake_*.json")).stem
        assert len([region for region in SHM.iterdir() if region.name.startswith(prefix)]) == stubs
        for one in pool:
            one.close()


def server_of_port(service: Service, port: int) -> int:
    (pid,) = [pid for pid in children_of(service.process.pid) if f"--grpc-port={port}\0" in command_of(pid)]
    return pid


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text("utf-8")
