"""A worker over an in-process gRPC server that does what a test tells it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk.patience import Pace
from bulk.plan import Plan, PlanSettings, open_plan
from bulk.shards import ShardFormat
from bulk.storage import LocalStorage
from bulk.worker import Task
from tests.inference_server import InferenceServer, inference_server, jpeg

MODEL_VERSION = "example/detector@fp32-0123456789ab"
PACE = Pace(files_in_flight=4, videos_in_flight=2, timeout_s=10.0, give_up_after_s=3.0)

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
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "out")


@pytest.fixture
def plan(storage: LocalStorage, media: list[str]) -> Plan:
    """One unit of all files."""
    made = open_plan(storage, PlanSettings("jsonl", "", MODEL_VERSION), resume=False)
    made.add(media, 100)
    return made


@pytest.fixture
def make_task(server: InferenceServer, storage: LocalStorage, plan: Plan) -> MakeTask:
    """What a worker of the plan is told, but for what is given."""

    def make(**others: Any) -> Task:
        return Task(
            **{
                "servers": server.url,
                "client_settings": {"outage_wait_s": 0.2, "overload_wait_s": 0.2},
                "output": storage.location,
                "plan_id": plan.settings.plan_id,
                "format": ShardFormat(plan.settings.format),
                "media_type": None,
                "model_version": MODEL_VERSION,
                "pace": PACE,
                "worker_deaths": 2,
                "local_folder": None,
                **others,
            }
        )

    return make
