"""A worker over an in-process gRPC server that does what a test tells it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from bulk import worker
from bulk.output import Output
from bulk.worker import Task
from deepfake_client.settings import ClientSettings
from tests.inference_server import InferenceServer, inference_server, jpeg

MODEL_VERSION = "example/detector@fp32-0123456789ab"

MakeTask = Callable[..., Task]


@pytest.fixture
def server() -> Iterator[InferenceServer]:
    with inference_server() as running:
        yield running


@pytest.fixture
def media(tmp_path: Path) -> list[str]:
    """Ten files: the third is missing, the fifth is no image, the seventh cannot be scored."""
    folder = tmp_path / "media"
    folder.mkdir()
    contents = [jpeg(f"p=0.{number}") for number in range(1, 10)] + [jpeg("face")]
    contents[4], contents[6] = b"text", jpeg("status=6")
    paths = [folder / f"{number}.jpg" for number in range(10)]
    for number, (path, content) in enumerate(zip(paths, contents, strict=True)):
        if number != 2:
            path.write_bytes(content)
    return [str(path) for path in paths]


@pytest.fixture
def store() -> Iterator["fsspec.AbstractFileSystem"]:
    """An object store in memory, empty."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path / "out"))


@pytest.fixture
def make_task(server: InferenceServer, output: Output) -> Iterator[MakeTask]:
    """What a worker is told, but for what is given. The output has begun."""
    output_id = output.begin(MODEL_VERSION, resume=True).id

    def make(**others: Any) -> Task:
        return Task(
            **{
                "servers": server.url,
                "client_settings": ClientSettings(outage_wait_s=0.2, overload_wait_s=0.2, timeout_s=10.0),
                "output": output.location,
                "output_id": output_id,
                "witness": None,
                "model_version": MODEL_VERSION,
                "files_in_flight": 4,
                "give_up_after_s": 3.0,
                **others,
            }
        )

    yield make
    worker._detector.cache_clear()
