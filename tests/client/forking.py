"""Programs for test_forks.py: a detector is used, then again in processes that are forked or spawned.

Each line of output is a score, or a failure's name, and the seconds that it took.
"""

import asyncio
import io
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from deepfake_client import AsyncDetector, Detector, create_detector
from deepfake_client.media import identify
from deepfake_client.video.isolated import IsolatedDecoder

TIMEOUT_S = 5.0


def score(detector: Detector | AsyncDetector, image: bytes) -> None:
    began_at = time.monotonic()
    try:
        if isinstance(detector, Detector):
            said = f"{detector.detect(image, timeout_s=TIMEOUT_S).confidence_score:.3f}"
        else:
            said = f"{asyncio.run(detector.detect(image, timeout_s=TIMEOUT_S)).confidence_score:.3f}"  # type: ignore[arg-type]
    except Exception as error:
        said = type(error).__name__
    print(said, f"{time.monotonic() - began_at:.1f}", flush=True)


def in_children(method: str, count: int, target: Callable[..., None], *arguments: Any) -> None:
    """One child after the other; one that hangs is killed and told of."""
    context = multiprocessing.get_context(method)
    for _ in range(count):
        child = context.Process(target=target, args=arguments)  # type: ignore[attr-defined]
        child.start()
        child.join(TIMEOUT_S + 10)
        if child.exitcode is None:
            print("hang 99", flush=True)
            child.kill()
            child.join()


def decode_in_a_child(video: bytes) -> None:
    """The child ends as programs do, by the handlers of its end. Says how many helpers there were, and lived on."""
    media = identify(io.BytesIO(video), "clip")
    decoder = IsolatedDecoder()
    frames = decoder.sample_video(media)
    assert decoder._helper is not None
    parents = decoder._helper._process
    child = os.fork()
    if child == 0:
        assert len(decoder.sample_video(media)) == len(frames)
        sys.exit(decoder._helper is None or decoder._helper._process.pid == parents.pid)
    _, status = os.waitpid(child, 0)
    print(float(status == 0), 0, flush=True)
    print(float(parents.poll() is None), 0, flush=True)


def in_a_grandchild(detector: Detector, image: bytes) -> None:
    score(detector, image)
    in_children("fork", 1, score, detector, image)


def main(mode: str, target: str, image: bytes) -> None:
    if mode == "video":
        decode_in_a_child(image)
        return
    detector: Any = create_detector(target)
    if mode == "async":
        detector = AsyncDetector(detector)
    score(detector, image)
    if mode == "busy":

        def keep_busy() -> None:
            while True:
                detector.detect(image)

        for _ in range(3):
            threading.Thread(target=keep_busy, daemon=True).start()
        time.sleep(0.1)
    if mode == "spawn":
        isolated = Detector(detector.scorer, detector.settings, IsolatedDecoder().sample_video)
        in_children("spawn", 1, score, isolated, image)
    elif mode == "grandchild":
        in_children("fork", 1, in_a_grandchild, detector, image)
    else:
        in_children("fork", int(sys.argv[4]), score, detector, image)
    score(detector, image)


if __name__ == "__main__":
    with open(sys.argv[3], "rb") as file:  # noqa: PTH123
        main(sys.argv[1], sys.argv[2], file.read())
