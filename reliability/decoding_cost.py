"""What it costs to decode a video in a process of its own: `python -m reliability.decoding_cost --rounds 7`.

The same clips in a thread and in a process, in turns. Processor time is that of all processes concerned: on a busy
machine it is what to compare.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from deepfake_client.frames import identify, open_media
from deepfake_client.media import Frame
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.sample import sample_video

from benchmark.spread import Spread
from benchmark.video_clips import ClipSpec, make_clip

_H264 = {"preset": "veryfast", "g": "250", "bf": "3"}
CLIPS = [
    ClipSpec("320x240, 4 s.mp4", (320, 240), 120, options=_H264),
    ClipSpec("1280x720, 5 s.mp4", (1280, 720), 150, options=_H264),
    ClipSpec("1280x720, 20 s.mp4", (1280, 720), 600, options=_H264),
    ClipSpec("1920x1080, 10 s.mp4", (1920, 1080), 300, options=_H264),
]

_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """One decoding: seconds of wall clock and of processor time."""

    wall_s: float
    processor_s: float


def _measured(path: Path, decode: Callable[..., list[Frame]]) -> Run:
    with open_media(path) as stream:
        format_ = identify(stream, path.name)
        started, processor = time.perf_counter(), _processor_s()
        frames = decode(stream, format_, path.name)
        run = Run(time.perf_counter() - started, _processor_s() - processor)
    assert len(frames) == 30
    return run


def _processor_s() -> float:
    """Of this process, its children, and what these have waited for."""
    total = time.process_time()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            total += sum(int(ticks) for ticks in fields[11:15]) / _TICKS_A_SECOND
    return total


def main(rounds: Annotated[int, typer.Option(min=1, help="How often each.")] = 7) -> None:
    """Prints a table."""
    if os.environ.get(_THRESHOLD) != "1048576":  # the gateway sets it for itself
        os.execve(
            sys.executable,
            [sys.executable, "-m", "reliability.decoding_cost", *sys.argv[1:]],
            {**os.environ, _THRESHOLD: "1048576"},
        )
    decoder = IsolatedDecoder()
    ways: dict[str, Callable[..., list[Frame]]] = {"thread": sample_video, "process": decoder.sample_video}
    print("| clip | thread, s | process, s | ratio | thread, CPU s | process, CPU s | ratio |\n" + "|---" * 7 + "|")
    with tempfile.TemporaryDirectory() as folder:
        paths = [make_clip(spec, Path(folder)) for spec in CLIPS]
        _measured(paths[0], decoder.sample_video)  # starts the helper
        for path in paths:
            runs: dict[str, list[Run]] = {name: [] for name in ways}
            for _, (name, decode) in itertools.product(range(rounds), ways.items()):
                runs[name].append(_measured(path, decode))
            print(f"| {path.stem} | {_compared(runs, 'wall_s')} | {_compared(runs, 'processor_s')} |", flush=True)
    decoder.close()


def _compared(runs: dict[str, list[Run]], what: str) -> str:
    thread, process = (Spread.of([getattr(run, what) for run in runs[name]]) for name in ("thread", "process"))
    cells = [f"{one.median:.3f} ({one.low:.3f}-{one.high:.3f})" for one in (thread, process)]
    return " | ".join([*cells, f"{process.median / thread.median:.2f}"])


if __name__ == "__main__":
    typer.run(main)
