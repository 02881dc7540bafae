"""What preparing one frame costs, step by step: `python -m benchmark.parts.preprocess_alone RELEASE FOLDER`, JSON."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from preprocessing import PreprocessParams
from preprocessing.crop import crop_square
from preprocessing.decode import decode_rgb
from preprocessing.faces import FaceFinder
from preprocessing.resize import resize_to_square

_MOST_FRAMES = 40
_T = TypeVar("_T")


@dataclass(frozen=True)
class Step:
    """Means over the frames.

    Attributes:
        name: Which step.
        wall_ms: By the clock.
        cpu_ms: Of all threads of the process.
    """

    name: str
    wall_ms: float
    cpu_ms: float


class _Clock:
    """Adds up what the steps take."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, float]] = {}

    def timed(self, name: str, work: Callable[[], _T]) -> _T:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return work()
        finally:
            before = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = (before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu)


def measure_steps(release: Path, frames: list[bytes]) -> list[Step]:
    """Prepares every frame once, after one to warm up."""
    entry = release / "model_repository" / "preprocess" / "1"
    params = PreprocessParams.load(entry / "preprocess.json")
    finder = FaceFinder(entry, params.min_face_score) if params.face_detection else None
    _prepare(_Clock(), params, finder, frames[0])
    clock = _Clock()
    for frame in frames:
        _prepare(clock, params, finder, frame)
    return [Step(name, wall * 1e3 / len(frames), cpu * 1e3 / len(frames)) for name, (wall, cpu) in clock.sums.items()]


def _prepare(clock: _Clock, params: PreprocessParams, finder: FaceFinder | None, frame: bytes) -> None:
    """What `preprocessing.Preparer` does, with a clock between the steps."""
    pixels = clock.timed("decode", lambda: decode_rgb(frame, max_bytes=params.max_bytes, max_pixels=params.max_pixels))
    face = clock.timed("detect", lambda: finder.largest_face(pixels) if finder else None)
    if face is not None:
        square = crop_square(face.box, pixels.shape[1], pixels.shape[0], params.crop_factor)
        pixels = pixels[square.y0 : square.y0 + square.side, square.x0 : square.x0 + square.side]
    clock.timed("crop and resize", lambda: resize_to_square(np.ascontiguousarray(pixels), params.resize))


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[2]).glob("*.jpg"))[:_MOST_FRAMES]
    found = measure_steps(Path(sys.argv[1]), [path.read_bytes() for path in paths])
    print(json.dumps([asdict(step) for step in found]))
