"""Every face of a frame, scored over gRPC by a server that answers for each box what a test says."""

from collections.abc import Iterator

import pytest

from deepfake_client import FaceChoice, ServerUnavailableError
from deepfake_client.analysis.faces import FaceRules, score_every_face
from deepfake_client.scorer import Deadline, FrameScore, Scoring
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer
from tests.inference_server import InferenceServer, face_box_px, jpeg

IMAGES = [jpeg("p=0.3"), jpeg("faces=0.2/0.9/0.4"), jpeg("face p=0.6"), jpeg("status=6"), jpeg("faces=0.5/0.1")]


@pytest.fixture
def scorer(server: InferenceServer) -> Iterator[TritonScorer]:
    made = TritonScorer(server.url, ClientSettings(chunk_frames=8))
    yield made
    made.close()


def probabilities(scores: list[FrameScore]) -> list[list[float | None]]:
    return [[p if (p := face.fake_probability) is None else round(p, 4) for face in score.faces] for score in scores]


def score(scorer: TritonScorer, **rules: object) -> list[FrameScore]:
    return score_every_face(scorer, IMAGES, Deadline(10), "r", FaceRules(**rules)).scores  # type: ignore[arg-type]


def test_each_face_gets_its_own_score(server: InferenceServer, scorer: TritonScorer) -> None:
    scores = score(scorer)
    assert probabilities(scores) == [[], [0.2, 0.9, 0.4], [0.6], [], [0.5, 0.1]]
    assert [face.box_px for face in scores[1].faces] == [face_box_px(number) for number in range(3)]
    assert [s.fake_probability for s in scores] == [pytest.approx(p) if p else None for p in (0.3, 0.2, 0.6, None, 0.5)]
    first, further = server.received
    assert first.face_boxes is None
    assert further.images == (IMAGES[1], IMAGES[1], IMAGES[4])


def test_frames_with_one_face_take_one_request(server: InferenceServer, scorer: TritonScorer) -> None:
    score_every_face(scorer, [IMAGES[0], IMAGES[2]], Deadline(10), "", FaceRules())
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"choice": FaceChoice.LARGEST}, [[], [0.2, None, None], [0.6], [], [0.5, None]]),
        ({"max_faces": 2}, [[], [0.2, 0.9, None], [0.6], [], [0.5, 0.1]]),
        ({"min_face_px": 85}, [[], [0.2, 0.9, None], [0.6], [], [0.5, 0.1]]),
        ({"min_face_px": 500}, [[], [0.2, None, None], [0.6], [], [0.5, None]]),
    ],
)
def test_the_rules_bound_the_further_faces(
    scorer: TritonScorer, rules: dict[str, object], expected: list[list[float | None]]
) -> None:
    assert probabilities(score(scorer, **rules)) == expected


class ReplacedBetween:
    """A scorer whose release changes after so many calls."""

    def __init__(self, inner: TritonScorer, changes: int) -> None:
        self.inner, self.changes, self.calls = inner, changes, 0

    def score(self, *arguments: object) -> Scoring:
        self.calls += 1
        made = self.inner.score(*arguments)  # type: ignore[arg-type]
        release = min(self.calls, self.changes + 1)
        return Scoring(made.info.model_copy(update={"release_id": f"{release:012x}"}), made.scores)


def test_all_faces_are_scored_by_one_release(server: InferenceServer, scorer: TritonScorer) -> None:
    replaced = ReplacedBetween(scorer, changes=1)
    scoring = score_every_face(replaced, IMAGES, Deadline(10), "", FaceRules())  # type: ignore[arg-type]
    assert probabilities(scoring.scores)[1] == [0.2, 0.9, 0.4]
    assert replaced.calls == 4
    with pytest.raises(ServerUnavailableError, match="change their release"):
        score_every_face(ReplacedBetween(scorer, 99), IMAGES, Deadline(10), "", FaceRules())  # type: ignore[arg-type]
