"""Asks a running Triton as the gateway does: one video after the other, then several clients with single images."""

import itertools
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from deepfake_client import ClientSettings, Deadline, DetectionError
from deepfake_client.scorer import OK
from deepfake_client.triton.scorer import TritonScorer

from benchmark.spread import percentile
from benchmark.tune_search import Figures, TrialError

VIDEO_FRAMES = 30
CLIENTS = 8
_TIMEOUT_S = 120.0


def measure_server(grpc: str, chunk_frames: int, frames: Sequence[bytes], seconds: float) -> Figures:
    """Both loads, `seconds` each, after one that warms up.

    Args:
        grpc: host:port of the server.
        chunk_frames: Frames in one request.
        frames: Encoded images, as many as a video has.
        seconds: No call begins later; every load makes at least one.

    Raises:
        TrialError: A call failed, or a frame was not scored.
    """
    scorer = TritonScorer(grpc, ClientSettings(chunk_frames=chunk_frames))
    try:
        _timed_call(scorer, frames)
        video_s = _calls(scorer, [list(frames)], time.monotonic() + seconds)
        started = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            shares = [frames[number::CLIENTS] for number in range(CLIENTS)]
            work = [clients.submit(_calls, scorer, [[one] for one in share], started + seconds) for share in shares]
            single_s = [latency for one in work for latency in one.result()]
        elapsed_s = time.monotonic() - started
    except DetectionError as error:
        raise TrialError(f"{type(error).__name__}: {error}") from error
    finally:
        scorer.close()
    return Figures(
        video_images_per_s=len(frames) * len(video_s) / sum(video_s),
        video_latency_s=statistics.median(video_s),
        singles_images_per_s=len(single_s) / elapsed_s,
        singles_p50_s=statistics.median(single_s),
        singles_p99_s=percentile(single_s, 99),
    )


def _calls(scorer: TritonScorer, inputs: Sequence[Sequence[bytes]], until: float) -> list[float]:
    """Durations of calls, one after the other over the inputs in turn."""
    durations = []
    for images in itertools.cycle(inputs):
        durations.append(_timed_call(scorer, images))
        if time.monotonic() >= until:
            break
    return durations


def _timed_call(scorer: TritonScorer, images: Sequence[bytes]) -> float:
    started = time.monotonic()
    scores = scorer.score(images, Deadline(_TIMEOUT_S)).scores
    if refused := {score.status for score in scores} - {OK}:
        raise TrialError(f"frames were not scored: {', '.join(sorted(refused))}")
    return time.monotonic() - started
