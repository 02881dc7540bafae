"""Damaged videos through the decoder: some in the suite, FUZZ_INPUTS (20,000 by default) in the long form.

What must hold: the decoder neither crashes nor takes long, and a video is refused or gives frames in order. An input is
named by FUZZ_SEED and its number.
"""

import io
import os
import random
import time

import pytest

from deepfake_client.detector import read_frames
from deepfake_client.errors import InputError
from deepfake_client.media import identify
from deepfake_client.video.isolated import DecodeLimits, IsolatedDecoder
from tests.fuzz.mutation import Mutator
from tests.hostile.streams import stream_clips
from tests.hostile.videos import seeds

_SLOW_S = 5.0


def fuzz(inputs: int, seed: int) -> tuple[list[str], int]:
    """What should not be, and how many videos gave frames."""
    mutator = Mutator.of_media([*stream_clips().values(), *seeds()])
    decoder = IsolatedDecoder(DecodeLimits(time_s=2 * _SLOW_S, memory_bytes=2**30))
    findings, decoded = [], 0
    try:
        for number in range(inputs):
            content = mutator.mutated(random.Random(f"{seed}/{number}"))
            started = time.perf_counter()
            try:
                times_s = [
                    frame.timestamp_s
                    for frame in read_frames(identify(io.BytesIO(content), "clip"), decode_video=decoder.sample_video)
                ]
                decoded += 1
                if times_s != sorted(times_s):
                    findings.append(f"{number}: frames in disorder")
            except InputError as error:
                if "crashed" in str(error) or "makes no sense" in str(error):
                    findings.append(f"{number}: {error}")
            if time.perf_counter() - started > _SLOW_S:
                findings.append(f"{number}: slow")
    finally:
        decoder.close()
    return findings, decoded


def test_no_damaged_video_does_harm() -> None:
    findings, decoded = fuzz(100, seed=20)
    assert findings == []
    assert 30 < decoded < 100


@pytest.mark.long
@pytest.mark.timeout(0)
def test_no_damaged_video_does_harm_at_length() -> None:
    inputs, seed = int(os.environ.get("FUZZ_INPUTS", "20000")), int(os.environ.get("FUZZ_SEED", "0"))
    findings, decoded = fuzz(inputs, seed)
    print(f"{inputs} inputs, {decoded} gave frames")
    assert findings == []
