"""What was scored once is not scored again: counted by the real Triton."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import requests
import tritonclient.grpc

from tests.media import encode_image, photo_pixels
from tests.service import Service

FRAMES = 30


@pytest.fixture(scope="module")
def body(service: Service) -> dict[str, Any]:
    """A request of frames that no other test sends, and one more that is no image."""
    folder = Path(service.media_root) / "remembered"
    folder.mkdir()
    pixels = photo_pixels("coffee.png")
    for i in range(FRAMES - 1):
        (folder / f"{i:02}.jpg").write_bytes(encode_image(pixels[i : i + 200, 7:207], "JPEG", quality=80))
    (folder / f"{FRAMES - 1}.jpg").write_bytes(b"no image, as no other test sends it")
    paths = [f"remembered/{i:02}.jpg" for i in range(FRAMES)]
    return {"mediaType": "VIDEO", "extractedFrames": paths, "include": ["frames"]}


def scored_images(service: Service) -> int:
    """How many images Triton has scored since it started."""
    with tritonclient.grpc.InferenceServerClient(service.grpc) as client:
        (statistics,) = client.get_inference_statistics("deepfake_detector").model_stats
    return int(statistics.inference_count)


def test_the_second_identical_request_needs_no_inference(service: Service, body: dict[str, Any]) -> None:
    counts, answers = [scored_images(service)], []
    with requests.Session() as session:  # one connection stays with one worker
        for _ in range(4):
            answer = session.post(f"{service.url}/api/v1/inference", json=body, timeout=60)
            assert answer.status_code == 200, answer.text
            answers.append({key: value for key, value in answer.json().items() if key != "inference_time"})
            counts.append(scored_images(service))
    added = [after - before for before, after in itertools.pairwise(counts)]
    print(f"images scored: {added}")
    assert added[0] >= FRAMES
    assert sum(added[1:]) < FRAMES / 2, "canaries go on"
    assert answers[1:] == answers[:1] * 3
    assert answers[0]["frames_scored"] == FRAMES - 1
