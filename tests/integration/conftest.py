"""Real photos as encoded images, and what the ensemble answers for them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc

from tests.media import photo
from tests.service import Service

OUTPUTS = ("FAKE_PROBABILITY", "PROBABILITIES", "FACES", "FACE_BOX", "FACE_SCORE", "EXPORT_ID", "STATUS")

Infer = Callable[..., dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def images() -> dict[str, bytes]:
    """Three photos without a face and two with one."""
    return {
        name: photo(name).read_bytes()
        for name in ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "camera.png")
    }


def as_tensor(module: Any, batch: Sequence[bytes]) -> Any:
    """The batch as the IMAGE input of a tritonclient module (grpc or http)."""
    tensor = module.InferInput("IMAGE", [len(batch), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(batch, dtype=np.object_).reshape(-1, 1))
    return tensor


@pytest.fixture
def infer(service: Service) -> Infer:
    """Scores a batch in one request with Triton's own gRPC client; boxes, if there are any, go as FACE."""

    def call(batch: Sequence[bytes], boxes: Sequence[Sequence[float]] = ()) -> dict[str, np.ndarray]:
        tensors = [as_tensor(tritonclient.grpc, batch)]
        if boxes:
            tensors.append(tritonclient.grpc.InferInput("FACE", [len(batch), 4], "FP32"))
            tensors[1].set_data_from_numpy(np.array(boxes, np.float32))
        with tritonclient.grpc.InferenceServerClient(service.grpc) as client:
            result = client.infer("deepfake_detector", tensors, client_timeout=60)
        return {name: result.as_numpy(name) for name in OUTPUTS}

    return call
