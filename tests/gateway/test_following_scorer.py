"""The scorer that goes where TRITON_URL_FILE says."""

import time
from pathlib import Path

import pytest
from deepfake_client import ClientSettings, DetectorClosedError, create_detector
from deepfake_client.scorer import Deadline

from gateway.following_scorer import FollowingScorer
from tests.inference_server import InferenceServer, inference_server, jpeg


def following(file: Path) -> FollowingScorer:
    return FollowingScorer(file, lambda url: create_detector(url, ClientSettings()).scorer, outage_wait_s=0)


def test_a_server_that_is_added_to_the_file_gets_its_share(server: InferenceServer, tmp_path: Path) -> None:
    file = tmp_path / "triton"
    file.write_text(server.url)
    scorer = following(file)
    with inference_server() as added:
        scorer.score([jpeg("p=0.5")], Deadline(10))
        file.write_text(f"{server.url},{added.url}")
        time.sleep(0.6)
        for _ in range(20):
            scorer.score([jpeg("p=0.5")], Deadline(10))
        assert min(len(server.received), len(added.received)) >= 8
        scorer.close()


def test_a_closed_one_stays_closed(server: InferenceServer, tmp_path: Path) -> None:
    file = tmp_path / "triton"
    file.write_text(server.url)
    scorer = following(file)
    scorer.info(Deadline(10))
    scorer.close()
    with pytest.raises(DetectorClosedError):
        scorer.info(Deadline(10))
