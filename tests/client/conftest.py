from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.clips import CLIPS
from tests.inference_server import InferenceServer, inference_server
from tests.media import write_video


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the path of a clip by its name in CLIPS; each is encoded once."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        path = folder / name
        return path if path.exists() else write_video(path, CLIPS[name])

    return make


@pytest.fixture
def server() -> Iterator[InferenceServer]:
    with inference_server() as running:
        yield running
