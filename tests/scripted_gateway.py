"""The gateway over a scorer that answers what a test scripts, on a real port: no Triton, no model."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.serving import make_server

from deepfake_client import ClientSettings, Detector, ServerUnavailableError
from deepfake_client.pictures import Box
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


def crowd(*fake_probabilities: float) -> FrameScore:
    """The score of a frame 320 px wide or more, with up to four faces side by side, the largest first."""
    sides_px = (70.0, 62.0, 54.0, 46.0)
    lefts_px = (10.0, 88.0, 166.0, 244.0)
    faces = tuple(
        Face((left, 30.0, left + side, 30.0 + side), 0.9, p)
        for left, side, p in zip(lefts_px, sides_px, fake_probabilities, strict=False)
    )
    return replace(scored(fake_probabilities[0]), faces=faces)


def fused(score: FrameScore, *members: tuple[float, ...]) -> FrameScore:
    """With what each model says of each face, the largest first; of a frame without one, of all of it."""
    of_faces = tuple(replace(face, members=own) for face, own in zip(score.faces, members, strict=False))
    return replace(score, members=members[0], faces=of_faces)


@dataclass
class ScriptedScorer:
    """A `FrameScorer`; a test changes it while the gateway runs.

    Attributes:
        answer: From a frame's index to its score.
        gate: Holds every detection until it is set.
        away: Whether the server behind it cannot be reached.
        description: Of its release.
        images: What is being scored.
    """

    answer: Answer = field(default=lambda index: scored(0.9))
    gate: threading.Event = field(default_factory=threading.Event)
    away: bool = False
    description: Mapping[str, Any] = field(default_factory=lambda: DESCRIPTION)
    images: Sequence[bytes] = ()
    _faces: dict[tuple[bytes, Box], Face] = field(default_factory=dict)
    """By the frame and the box."""

    def info(self, deadline: Deadline) -> ModelInfo:
        if self.away:
            raise ServerUnavailableError("away")
        return ModelInfo.model_validate(self.description)

    def score(
        self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", face_boxes_px: Any = None
    ) -> Scoring:
        info = self.info(deadline)
        if request_id != "health-canary":
            self.gate.wait(deadline.remaining_s())
            self.images = images
        answers = []
        for index, (image, box) in enumerate(zip(images, face_boxes_px or [None] * len(images), strict=True)):
            answer = self.answer(index)
            if box is None:
                self._faces |= {(image, face.box_px): face for face in answer.faces}
            given = answer if box is None else self._faces.get((image, box), answer)
            answers.append(replace(answer, fake_probability=given.fake_probability, members=given.members))
        return Scoring(info, answers)

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
