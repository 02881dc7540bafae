"""Scores files in your own Ray program. For whole archives use `deepfake-bulk`, which can be resumed."""

import ray
from ray.util import ActorPool

from deepfake_client import DetectionError, create_detector


@ray.remote
class Scorer:
    """One process with one connection to the Triton server of `make serve`."""

    def __init__(self) -> None:
        self._detector = create_detector("localhost:8001")

    def score(self, path: str) -> tuple[str, str]:
        """The file's name, and its verdict or what is wrong with it."""
        try:
            return path, self._detector.detect(path).result.value
        except DetectionError as error:
            return path, error.code


if __name__ == "__main__":
    pool = ActorPool([Scorer.remote() for _ in range(2)])
    files = ["examples/astronaut.png", "examples/astronaut.mp4"]
    for path, verdict in pool.map_unordered(lambda scorer, path: scorer.score.remote(path), files):
        print(path, verdict)
