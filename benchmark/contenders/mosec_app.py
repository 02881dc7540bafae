"""A release behind mosec: `python -m benchmark.contenders.mosec_app --port PORT`.

Two stages, as its documentation advises: processes that prepare images, one per core, and a stage that classifies what
they have prepared, eight images at a time.
"""

from collections.abc import Sequence

import numpy as np
from mosec import Server, ValidationError, Worker
from numpy.typing import NDArray

from benchmark.contenders import MAX_BATCH, fake_probabilities, open_classifier, open_preparer
from preprocessing import ImageRejectedError
from runtime import usable_cores

MAX_WAIT_MS = 2
TIMEOUT_S = 300


class Prepare(Worker):  # type: ignore[misc]
    """First stage: encoded image to pixels."""

    def __init__(self) -> None:
        super().__init__()
        self._preparer = open_preparer()

    def deserialize(self, data: bytes) -> bytes:
        """The body is the encoded image; mosec's default is JSON."""
        return data

    def forward(self, data: bytes) -> NDArray[np.uint8]:
        """Prepares one image."""
        try:
            return self._preparer.prepare(data).pixels
        except ImageRejectedError as error:
            raise ValidationError(str(error)) from error


class Classify(Worker):  # type: ignore[misc]
    """Second stage: pixels of several requests to answers."""

    def __init__(self) -> None:
        super().__init__()
        self._classifier = open_classifier(cores=0)

    def forward(self, data: Sequence[NDArray[np.uint8]]) -> list[dict[str, float]]:
        """Classifies them together."""
        return fake_probabilities(self._classifier, data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Prepare, num=usable_cores(), timeout=TIMEOUT_S, route="/predict")
    server.append_worker(
        Classify, num=1, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS, timeout=TIMEOUT_S, route="/predict"
    )
    server.run()
