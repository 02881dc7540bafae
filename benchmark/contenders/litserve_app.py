"""A release behind LitServe: `python -m benchmark.contenders.litserve_app --port PORT`.

One worker process per core, each with the whole path on its own core; requests that wait are taken eight at a time.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import litserve
import numpy as np
from fastapi import Depends, HTTPException, Request
from numpy.typing import NDArray

from benchmark.contenders import MAX_BATCH, fake_probabilities, open_classifier, open_preparer
from preprocessing import ImageRejectedError
from runtime import usable_cores

# 0 would be taken literally: workers would ask for requests all the time, on the cores that compute.
BATCH_TIMEOUT_S = 0.002


async def raw_body(request: Request) -> bytes:
    """The encoded image; LitServe's own default is JSON or a form."""
    return await request.body()


class DetectorApi(litserve.LitAPI):  # type: ignore[misc]
    """What each worker process does; the framework decides which method runs when."""

    def setup(self, device: object) -> None:  # noqa: ARG002
        """Loads the release onto this worker's core."""
        self._preparer, self._classifier = open_preparer(), open_classifier(cores=1)

    def decode_request(self, request: Annotated[bytes, Depends(raw_body)]) -> NDArray[np.uint8]:
        """Encoded image to pixels."""
        try:
            return self._preparer.prepare(request).pixels
        except ImageRejectedError as error:
            raise HTTPException(422, str(error)) from error

    def predict(self, x: Sequence[NDArray[np.uint8]]) -> list[dict[str, float]]:
        """One answer for each image of a batch."""
        return fake_probabilities(self._classifier, x)


if __name__ == "__main__":
    api = DetectorApi(max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S, api_path="/predict")
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=usable_cores(), timeout=300, fast_queue=False
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
