import asyncio
import threading
import time
from pathlib import Path

import pytest

from deepfake_client import (
    ClientSettings,
    ConfigurationError,
    Deadline,
    DeadlineExceededError,
    DetectionResult,
    Detector,
    DetectorClosedError,
    UnsupportedMediaError,
    create_async_detector,
)
from tests.inference_server import InferenceServer, jpeg


def test_many_at_once_and_the_loop_stays_free(server: InferenceServer) -> None:
    server.behaviour.delay_s = 0.2

    async def main() -> tuple[list[float], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        async with create_async_detector(server.url, workers=8) as detector:
            ticking = asyncio.create_task(tick())
            outputs = await asyncio.gather(*(detector.detect(jpeg(f"p=0.{number}")) for number in range(8)))
            ticking.cancel()
            assert (await detector.info()).name == "example/detector"
        return [output.confidence_score for output in outputs], ticks

    started = time.monotonic()
    scores, ticks = asyncio.run(main())
    assert scores == pytest.approx([number / 10 for number in range(8)])
    assert time.monotonic() - started < 8 * 0.2
    assert ticks >= 5


def test_errors_and_results_are_those_of_the_detector(server: InferenceServer, tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "a.jpg").write_bytes(jpeg("p=0.9"))
        async with create_async_detector(server.url) as detector:
            assert (await detector.detect(tmp_path / "a.jpg")).result is DetectionResult.FAKE
            with pytest.raises(UnsupportedMediaError):
                await detector.detect(b"text")
            with pytest.raises(ConfigurationError):
                await detector.detect(jpeg("p=0.9"), timeout_s=0)
            server.behaviour.delay_s = 1.0
            with pytest.raises(DeadlineExceededError):
                await detector.detect(jpeg("p=0.9"), timeout_s=0.2)

    asyncio.run(main())


def test_a_cancelled_task_gives_up_its_requests(server: InferenceServer) -> None:
    server.behaviour.gate = threading.Event()

    async def main() -> float:
        async with create_async_detector(server.url, ClientSettings(timeout_s=30)) as detector:
            task = asyncio.create_task(detector.detect(jpeg("p=0.5")))
            while not server.received:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            started = time.monotonic()
        return time.monotonic() - started  # closing waits for the thread

    assert asyncio.run(main()) < 5


def test_a_task_that_is_cancelled_while_its_thread_begins_is_cancelled_too(
    server: InferenceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, cancelled = threading.Event(), threading.Event()
    original = Detector.deadline

    def slow(self: Detector, timeout_s: float | None) -> Deadline:
        began.set()
        assert cancelled.wait(10)
        return original(self, timeout_s)

    async def main() -> None:
        async with create_async_detector(server.url, ClientSettings(timeout_s=30)) as detector:
            await detector.info()
            monkeypatch.setattr(Detector, "deadline", slow)
            task = asyncio.create_task(detector.detect(jpeg("p=0.5")))
            while not began.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            monkeypatch.undo()
            cancelled.set()

    asyncio.run(main())
    assert server.received == []


def test_a_closed_detector_stays_closed(server: InferenceServer) -> None:
    async def main() -> None:
        detector = create_async_detector(server.url)
        await detector.info()
        await detector.close()
        with pytest.raises(DetectorClosedError):
            await detector.detect(jpeg("p=0.9"))

    asyncio.run(main())
    assert server.received == []


def test_a_wrong_target_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError):
        create_async_detector("nonsense")
