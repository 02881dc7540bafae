"""A release behind LitServe: `python -m benchmark.contenders.litserve_app PORT`.

One worker process per core, each with the whole path on its own core; requests that wait are taken eight at a time.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Depends, HTTPException, Request
from numpy.typing import NDArray

from benchmark.contenders.release_parts import open_classifier, open_preparer, release_of_this_process
from preprocessing import ImageRejectedError
from runtime import usable_cores

MAX_BATCH = 8
# 0 would be taken literally: workers would ask for requests all the time, on the cores that compute.
BATCH_TIMEOUT_S = 0.002
TIMEOUT_S = 300.0


async def raw_body(request: Request) -> bytes:
    """The encoded image; LitServe's own default is JSON or a form."""
    return await request.body()


class DetectorApi(litserve.LitAPI):  # type: ignore[misc]
    """What each worker process does."""

    def setup(self, device: object) -> None:  # noqa: ARG002 (the framework's interface)
        """Loads the release onto this worker's core."""
        release = release_of_this_process()
        self._preparer = open_preparer(release)
        self._classifier = open_classifier(release, cores=1)

    def decode_request(self, request: Annotated[bytes, Depends(raw_body)]) -> NDArray[np.uint8]:
        """Encoded image to pixels."""
        try:
            return self._preparer.prepare(request).pixels
        except ImageRejectedError as error:
            raise HTTPException(422, str(error)) from error

    def batch(self, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Pixels of several requests, to be classified together."""
        return np.stack(inputs)

    def predict(self, x: NDArray[np.uint8]) -> list[dict[str, float]]:
        """One answer for each image."""
        answer = self._classifier.run(x, np.zeros((len(x), 1), np.int32))
        return [{"fake_probability": float(p)} for p in answer.fake_probability[:, 0]]

    def unbatch(self, output: list[dict[str, float]]) -> list[dict[str, float]]:
        """The answers are apart already."""
        return output


def make_server(workers: int) -> Any:
    """The server, not yet running."""
    api = DetectorApi(max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S, api_path="/predict")
    return litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=workers, timeout=TIMEOUT_S, fast_queue=False
    )


def main() -> None:
    """Serves until it is ended."""
    make_server(usable_cores()).run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
