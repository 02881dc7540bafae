"""Compares our frame extraction with naive ones: `python -m benchmark.video run`, then `... table`."""

import io
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import typer
from deepfake_client.frames import identify, open_media
from deepfake_client.scores import MAX_SCORED_FRAMES
from deepfake_client.video.sample import sample_video
from deepfake_client.video.source import encode_frame
from PIL import Image

from benchmark.video_clips import CLIPS, RATE, ClipSpec, make_clip, number_at, read_number
from benchmark.video_methods import METHODS, Picked, Pixels

_OURS = {"ours": True, "ours_exact": False}
"""Whether key frames may stand in, by the name of the method."""

_ALL_METHODS = [*_OURS, *METHODS]
_CORNER = (slice(0, 16), slice(0, 192))

app = typer.Typer(help="Measures how 30 frames are got out of a video.", add_completion=False)
CacheDir = Annotated[Path, typer.Option(help="Where clips are kept, 3 GB in all.")]
Results = Annotated[Path, typer.Option(help="JSON lines, one a measurement; a run adds to them.")]
_CACHE_DIR = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepfake-serving" / "benchmark-video"
_RESULTS = Path("video-benchmark.jsonl")


@dataclass(frozen=True)
class Measurement:
    """One method on one clip, in a process of its own.

    Attributes:
        clip: Its file name.
        method: Its name.
        wall_s: From the opening of the file to the last encoded frame.
        cpu_s: User and system time of all threads meanwhile.
        encode_s: Wall time of that spent on RGB conversion and lossless encoding.
        peak_rss_mib: Of the process, interpreter and libraries included.
        frames: How many frames came.
        distinct: How many of them differ in time.
        time_error_frames: The largest distance between a frame's number and the number that its time stamp means.
        uneven: The largest distance of a frame from its even place, as a share of the sample interval.
    """

    clip: str
    method: str
    wall_s: float
    cpu_s: float
    encode_s: float
    peak_rss_mib: float
    frames: int
    distinct: int
    time_error_frames: int | None
    uneven: float | None


@app.command()
def run(
    clips: Annotated[list[str], typer.Option("--clip", help="Clip by name, again for more.")] = list(CLIPS),  # noqa: B006
    methods: Annotated[list[str], typer.Option("--method", help="Method by name, again for more.")] = _ALL_METHODS,
    rounds: Annotated[int, typer.Option(min=1, help="How often each method reads each clip.")] = 5,
    cache_dir: CacheDir = _CACHE_DIR,
    results: Results = _RESULTS,
) -> None:
    """Measures methods in turn, round by round, so that a slow minute of the machine meets all of them."""
    for name in clips:
        make_clip(CLIPS[name], cache_dir)
    for clip, turn in itertools.product(clips, range(rounds)):
        shift = turn % len(methods)
        for method in [*methods[shift:], *methods[:shift]]:
            line = _measured_apart(method, clip, cache_dir)
            with results.open("a", encoding="utf-8") as lines:
                lines.write(line + "\n")
            typer.echo(line)


@app.command()
def one(method: str, clip: str, cache_dir: CacheDir = _CACHE_DIR) -> None:
    """Measures one method on one clip in this process and prints it as JSON."""
    typer.echo(json.dumps(asdict(measure(method, CLIPS[clip], make_clip(CLIPS[clip], cache_dir)))))


@app.command()
def table(results: Results = _RESULTS) -> None:
    """Prints the medians of all measurements as Markdown."""
    lines = results.read_text(encoding="utf-8").splitlines()
    typer.echo(markdown([Measurement(**json.loads(line)) for line in lines]))


def measure(method: str, spec: ClipSpec, path: Path) -> Measurement:
    """Runs a method on a clip in this process: peak memory is that of everything the process did before, too."""
    before_s, before_cpu_s = time.perf_counter(), _cpu_s()
    picked, encode_s = _run_ours(method, path) if method in _OURS else _run_other(method, path)
    wall_s, cpu_s = time.perf_counter() - before_s, _cpu_s() - before_cpu_s
    times = [timestamp_s for timestamp_s, _ in picked]
    return Measurement(
        clip=spec.name,
        method=method,
        wall_s=round(wall_s, 3),
        cpu_s=round(cpu_s, 3),
        encode_s=round(encode_s, 3),
        peak_rss_mib=round(_peak_rss_mib(), 1),
        frames=len(picked),
        distinct=len(set(times)),
        time_error_frames=max((_error_frames(spec, at, corner) for at, corner in picked), default=None),
        uneven=_unevenness(spec, times),
    )


def markdown(measurements: Sequence[Measurement]) -> str:
    """Medians by clip and method, with the range of the wall times."""
    head = ["clip", "method", "wall s", "range", "CPU s", "encoding s", "frames", "distinct", "off by", "uneven", "MiB"]
    rows = [head, ["---"] * len(head)]
    for (clip, method), group in _grouped(measurements):
        walls = [m.wall_s for m in group]
        last = group[-1]
        off_by = "-" if last.time_error_frames is None else str(last.time_error_frames)
        uneven = "-" if last.uneven is None else f"{last.uneven:.2f}"
        rows.append(
            [
                clip, method, _median(walls), f"{min(walls):.2f}-{max(walls):.2f} ({len(walls)})",
                _median([m.cpu_s for m in group]), _median([m.encode_s for m in group]),
                str(last.frames), str(last.distinct), off_by, uneven, f"{max(m.peak_rss_mib for m in group):.0f}",
            ]
        )  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _grouped(measurements: Sequence[Measurement]) -> "Iterator[tuple[tuple[str, str], list[Measurement]]]":
    def place(m: Measurement) -> tuple[int, int]:
        return list(CLIPS).index(m.clip), _ALL_METHODS.index(m.method)

    for _, group in itertools.groupby(sorted(measurements, key=place), place):
        members = list(group)
        yield (members[0].clip, members[0].method), members


def _measured_apart(method: str, clip: str, cache_dir: Path) -> str:
    command = [sys.executable, "-m", "benchmark.video", "one", method, clip, "--cache-dir", str(cache_dir)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _run_ours(method: str, path: Path) -> tuple[list[tuple[float, Pixels]], float]:
    """What a method found: the time and the corner with the number of each frame; and the time spent encoding."""
    spent_s = 0.0

    def timed(frame: object) -> bytes:
        nonlocal spent_s
        before_s = time.perf_counter()
        encoded = encode_frame(frame)
        spent_s += time.perf_counter() - before_s
        return encoded

    with mock.patch("deepfake_client.video.source.encode_frame", timed), open_media(path) as stream:
        format_ = identify(stream, path.name)
        frames = sample_video(stream, format_, path.name, keyframes_may_stand_in=_OURS[method])
    return [(frame.timestamp_s, _corner(frame.encoded)) for frame in frames], spent_s


def _run_other(method: str, path: Path) -> tuple[list[tuple[float, Pixels]], float]:
    encoded: list[tuple[Picked, bytes]] = []
    spent_s = 0.0
    for picked in METHODS[method](path):
        before_s = time.perf_counter()
        buffer = io.BytesIO()
        Image.fromarray(picked.to_rgb()).save(buffer, "BMP")
        encoded.append((picked, buffer.getvalue()))
        spent_s += time.perf_counter() - before_s
    return [(picked.timestamp_s, _corner(image)) for picked, image in encoded], spent_s


def _corner(image: bytes) -> Pixels:
    with Image.open(io.BytesIO(image)) as opened:
        return np.asarray(opened.convert("RGB"))[_CORNER].copy()


def _error_frames(spec: ClipSpec, timestamp_s: float, corner: Pixels) -> int:
    half = spec.stretch_frames // 2
    return abs((read_number(corner) - number_at(spec, timestamp_s) + half) % spec.stretch_frames - half)


def _unevenness(spec: ClipSpec, times: Sequence[float]) -> float | None:
    if len(times) != MAX_SCORED_FRAMES:
        return None
    places = np.linspace(0, (spec.frames - 1) / RATE, MAX_SCORED_FRAMES)
    return float(np.abs(np.asarray(times) - places).max() / (places[1] - places[0]))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_rss_mib() -> float:
    """Not ru_maxrss, which begins with the peak of the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}"


if __name__ == "__main__":
    app()
