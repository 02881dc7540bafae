"""No server at all: `python -m benchmark.contenders.bare RELEASE FOLDER` decodes, finds faces and classifies.

The yardstick of what serving costs: one process with all cores, images already in memory. Threads, one per core,
prepare images; another classifies them in batches on all cores meanwhile.
"""

import itertools
import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmark.contenders.release_parts import open_classifier, open_preparer
from preprocessing import Preparer
from runtime import Classifier, usable_cores

BATCH = 8
_WARM_UP_BATCHES = 2

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class BareRate:
    """What one process manages.

    Attributes:
        images: Images classified.
        seconds: In how long.
        images_per_s: Their quotient.
    """

    images: int
    seconds: float
    images_per_s: float


class _PreparerThreads:
    """Prepares images on several threads, each with its own preparer; the results come in order."""

    def __init__(self, release: Path, threads: int) -> None:
        self._preparers = [open_preparer(release) for _ in range(threads)]
        spare: queue.SimpleQueue[Preparer] = queue.SimpleQueue()
        for preparer in self._preparers:
            spare.put(preparer)
        self._of_thread = threading.local()
        self._pool = ThreadPoolExecutor(threads, initializer=lambda: setattr(self._of_thread, "own", spare.get()))

    def submit(self, encoded: Sequence[bytes]) -> list["Future[Pixels]"]:
        return [self._pool.submit(self._prepare, one) for one in encoded]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for preparer in self._preparers:
            preparer.close()

    def _prepare(self, encoded: bytes) -> Pixels:
        preparer: Preparer = self._of_thread.own
        return preparer.prepare(encoded).pixels


def measure_bare(release: Path, images: Sequence[bytes], seconds: float) -> BareRate:
    """Classifies images, over and over, for some seconds.

    Args:
        release: Folder of the release.
        images: Encoded images, at least one.
        seconds: How long, after a warm-up.

    Raises:
        ClassifierLoadError: The release cannot be run here.
        ImageRejectedError: One of the images cannot be prepared.
    """
    classifier = open_classifier(release, cores=0)
    threads = _PreparerThreads(release, usable_cores())
    endless = itertools.cycle(images)
    batches: Iterator[list[bytes]] = iter(lambda: list(itertools.islice(endless, BATCH)), None)
    try:
        return _run(classifier, threads, batches, seconds)
    finally:
        threads.close()
        classifier.close()


def _run(classifier: Classifier, threads: _PreparerThreads, batches: Iterator[list[bytes]], seconds: float) -> BareRate:
    """Keeps two batches in preparation while one is classified."""
    status = np.zeros((BATCH, 1), np.int32)
    coming = [threads.submit(next(batches)) for _ in range(2)]
    started = time.monotonic()
    for number in itertools.count(1):
        pixels = np.stack([future.result() for future in coming.pop(0)])
        coming.append(threads.submit(next(batches)))
        classifier.run(pixels, status)
        if number == _WARM_UP_BATCHES:
            started = time.monotonic()
        elapsed = time.monotonic() - started
        if number > _WARM_UP_BATCHES and elapsed >= seconds:
            images = (number - _WARM_UP_BATCHES) * BATCH
            return BareRate(images, elapsed, images / elapsed)
    raise AssertionError("unreachable")


def main(
    release: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of a release.")],
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with JPEG files.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure, after a warm-up.")] = 10.0,
) -> None:
    """Prints images per second as JSON."""
    images = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    if not images:
        raise typer.BadParameter(f"{folder} holds no .jpg file")
    typer.echo(json.dumps(asdict(measure_bare(release, images, seconds))))


if __name__ == "__main__":
    typer.run(main)
