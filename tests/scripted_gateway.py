"""The gateway over a scorer that answers what a test scripts, on a real port: no Triton, no model."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import make_server

from deepfake_client import ClientSettings, Detector, ServerUnavailableError
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import OK, Deadline, Face, FrameScore, Scoring
from gateway import GatewaySettings, create_app
from tests.inference_server import DESCRIPTION

Answer = Callable[[int], FrameScore]


def scored(fake_probability: float, face: bool = True) -> FrameScore:
    """The score of a frame, with a face in its middle or without one."""
    return FrameScore(
        status=OK,
        fake_probability=fake_probability,
        probabilities=(fake_probability, 1 - fake_probability),
        faces=(Face((40.0, 30.0, 120.0, 110.0), 0.9, fake_probability),) if face else (),
        export_id=DESCRIPTION["export_id"],
    )


@dataclass
class ScriptedScorer:
    """A `FrameScorer`; a test changes it while the gateway runs.

    Attributes:
        answer: From a frame's index to its score.
        gate: Holds every detection until it is set.
        away: Whether the server behind it cannot be reached.
        images: What is being scored.
    """

    answer: Answer = field(default=lambda index: scored(0.9))
    gate: threading.Event = field(default_factory=threading.Event)
    away: bool = False
    images: Sequence[bytes] = ()

    def info(self, deadline: Deadline) -> ModelInfo:
        if self.away:
            raise ServerUnavailableError("away")
        return ModelInfo.model_validate(DESCRIPTION)

    def score(
        self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", face_boxes_px: Any = None
    ) -> Scoring:
        info = self.info(deadline)
        if request_id != "health-canary":
            self.gate.wait(deadline.remaining_s())
            self.images = images
        return Scoring(info, [self.answer(index) for index in range(len(images))])

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class ScriptedGateway:
    """A running gateway and what scores for it."""

    url: str
    scorer: ScriptedScorer


@contextmanager
def scripted_gateway(further_frames: int = 0, **settings: Any) -> Iterator[ScriptedGateway]:
    """A gateway on a free port. Answers go by a frame's place: further frames would begin with the first again."""
    scorer = ScriptedScorer()
    scorer.gate.set()
    try:
        with gateway_over(Detector(scorer, ClientSettings(further_frames=further_frames)), **settings) as url:
            yield ScriptedGateway(url, scorer)
    finally:
        scorer.gate.set()


@contextmanager
def gateway_over(detector: Detector, **settings: Any) -> Iterator[str]:
    """The address of a gateway over a detector."""
    # Without a cache: a scripted scorer answers by a frame's place, whatever its bytes are.
    app = create_app(GatewaySettings(health_fresh_s=0, score_cache_frames=0, **settings), detector)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
