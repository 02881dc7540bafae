"""The short form of `python -m reliability.fuzz_gateway`: hostile requests at the real service."""

from pathlib import Path

import pytest

from export.release import Release
from reliability.fuzz_gateway import GatewayFuzzer
from tests.service import run_service


@pytest.mark.timeout(240)
def test_no_hostile_request_does_harm(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    with run_service(tiny_checkpoint, tiny_release.path.parent, folder, {"SCORE_CACHE_FRAMES": "0"}) as running:
        report = GatewayFuzzer(running.url, running.media_root, seed=7).run(200)
    assert report.findings == []
    assert report.checks > 10
    statuses = {int(answer.rpartition(" ")[2]) for answer in report.answers}
    assert {200, 400, 422} <= statuses
