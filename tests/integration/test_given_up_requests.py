"""What a caller has given up is not worked off to its end: hostile images cost seconds each, and many fit a request."""

import os
import time
from pathlib import Path

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from deepfake_client import ClientSettings, DeadlineExceededError, create_detector
from deepfake_client.scorer import Deadline
from tests.hostile.media_structure import png
from tests.integration.conftest import as_tensor
from tests.service import Service

IMAGES = 16
# 16 bits and alpha: 8 bytes a pixel out of almost none; filtered by Paeth, the dearest.
COSTLY = png(4000, 4000, (b"\4" + bytes(8 * 4000)) * 4000, depth=16, colour=6)


def processor_s(service: Service) -> float:
    """Processor time that the model processes have taken so far."""
    ticks = 0
    for pid in service.stub_pids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def settled(service: Service) -> float:
    """The same once nothing is worked on but canaries."""
    before = processor_s(service)
    while True:
        time.sleep(1)
        now = processor_s(service)
        if now - before < 0.15:
            return now
        before = now


@pytest.mark.parametrize("by", ["our client", pytest.param("tritonclient", marks=pytest.mark.long)])
def test_a_request_that_is_given_up_stops_after_the_image_at_hand(service: Service, by: str) -> None:
    with tritonclient.grpc.InferenceServerClient(service.grpc) as client:
        start = settled(service)
        client.infer("deepfake_detector", [as_tensor(tritonclient.grpc, [COSTLY])])
        one = settled(service) - start
        start = settled(service)
        if by == "our client":
            settings = ClientSettings(chunk_frames=IMAGES, attempts=1)
            with create_detector(service.grpc, settings) as detector, pytest.raises(DeadlineExceededError):
                detector.scorer.score([COSTLY] * IMAGES, Deadline(2 * one))
        else:
            tensor = as_tensor(tritonclient.grpc, [COSTLY] * IMAGES)
            with pytest.raises(InferenceServerException):
                client.infer("deepfake_detector", [tensor], client_timeout=2 * one, timeout=int(2e6 * one))
        assert settled(service) - start < IMAGES * one / 2
