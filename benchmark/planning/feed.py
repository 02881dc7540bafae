"""`deepfake-bench feed`: how many processor cores keep a GPU busy, and what that moves over the network.

A GPU classifies r frames a second. A core decodes, finds the face in, crops and resizes c frames a second. Then

    cores     r / c, beside the GPU or in a pool of preprocess
    busy      of its time the GPU has work, with k cores: k c / r, at most all of it
    pixels    8 r S S 3 bit/s from a pool to the gateway, and on to the GPU's server
    JPEG      8 r x the size of a file, to whoever prepares it
"""

import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assets import FACE_MODELS, AssetError, default_cache_dir, fetch_assets
from benchmark.frames import make_face_frames
from deepfake_client.command_line.exits import USAGE, fail, require_packages
from preprocessing import Preparer, PreprocessParams

_FRAMES = 20
_MARKS = re.compile(r"(<!-- deepfake-bench feed -->\n).*?(<!-- end -->)", re.DOTALL)

EXIT_CODES = {0: "planned", 1: "it could not be measured or written: the message says why", **USAGE}
EXAMPLES = (
    "deepfake-bench feed --gpu A10=900",
    "deepfake-bench feed --frames-per-core 120 --cores 15",
)


@dataclass(frozen=True)
class Gpu:
    """What a GPU does: frames a second by the classifier, in fp16, and who says so."""

    name: str
    frames_per_s: float
    source: str = "given"


ESTIMATES = (Gpu("H100", 5000, "estimate"), Gpu("L4", 1200, "estimate"))
"""At 30 to 60% of the peak; not measured."""


@dataclass(frozen=True)
class Feed:
    """What keeps a GPU busy.

    Attributes:
        cores: That prepare as many frames as it classifies.
        busy: Share (0-1) of its time that it has work, with the cores there are.
        pixels_gbit_s: From a pool of preprocess to the gateway, and on to its server.
        jpeg_gbit_s: To whoever prepares the frames.
    """

    cores: int
    busy: float
    pixels_gbit_s: float
    jpeg_gbit_s: float


def feed_of(gpu: Gpu, frames_per_core: float, cores: float, side_px: int, jpeg_bytes: float) -> Feed:
    """What keeps a GPU busy; the formulas are those above."""
    bits_per_s = 8 * gpu.frames_per_s
    return Feed(
        cores=math.ceil(gpu.frames_per_s / frames_per_core),
        busy=min(cores * frames_per_core / gpu.frames_per_s, 1),
        pixels_gbit_s=bits_per_s * side_px**2 * 3 / 1e9,
        jpeg_gbit_s=bits_per_s * jpeg_bytes / 1e9,
    )


def measured_frames_per_core(frames: Sequence[bytes], rounds: int) -> list[float]:
    """Frames that a core of this machine prepares a second, by the processor time of each round.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    folder = next(iter(fetch_assets(FACE_MODELS).values())).parent
    preparer, found = Preparer(PreprocessParams(), folder), []
    try:
        for _ in range(1 + rounds):  # the first warms up
            started = time.process_time()
            for frame in frames:
                preparer.prepare(frame)
            found.append(len(frames) / (time.process_time() - started))
    finally:
        preparer.close()
    return found[1:]


def table(gpus: Sequence[Gpu], feeds: Sequence[Feed], cores: float) -> str:
    """A Markdown table."""
    head = f"| GPU | frames/s | cores for it | busy with {cores:g} cores | pixels, Gbit/s | JPEG, Gbit/s |"
    rows = [
        f"| {gpu.name} | {gpu.frames_per_s:,.0f} ({gpu.source}) | {feed.cores} | {feed.busy:.0%} | "
        f"{feed.pixels_gbit_s:.1f} | {feed.jpeg_gbit_s:.1f} |"
        for gpu, feed in zip(gpus, feeds, strict=True)
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def warning(gpu: Gpu, feed: Feed, cores: float) -> str:
    """What to do where the cores starve a GPU; "" where they do not."""
    if feed.busy == 1:
        return ""
    return (
        f"WARNING: {cores:g} cores keep the {gpu.name} {feed.busy:.0%} busy. Give it {feed.cores} where a node has "
        f"them (component many-cores), or a pool of {feed.cores} cores without GPUs (preprocess-pool, "
        "DEEPFAKE_PREPROCESS_URL: docs/deploy.md); else a smaller GPU does as much."
    )


def _gpus(given: Sequence[str]) -> list[Gpu]:
    gpus = {gpu.name: gpu for gpu in ESTIMATES}
    for text in given:
        name, _, rate = text.partition("=")
        if not re.fullmatch(r"\d+(\.\d+)?", rate) or not float(rate) or not name:
            raise typer.BadParameter(f"--gpu {text}: NAME=FRAMES_A_SECOND, such as L4=1150")
        gpus[name] = Gpu(name, float(rate))
    return list(gpus.values())


def feed(
    gpu: Annotated[
        list[str] | None,
        typer.Option(help="NAME=RATE: frames a second that you measured; once for each. Replaces an estimate."),
    ] = None,
    frames_per_core: Annotated[
        list[float] | None,
        typer.Option(min=1e-3, max=1e9, show_default="measured here", help="Of one core; once for each round."),
    ] = None,
    cores: Annotated[float, typer.Option(min=0.1, max=1e4, help="That a GPU has beside it.")] = 3.5,
    side_px: Annotated[int, typer.Option(min=1, max=4096, help="Of the classifier's input.")] = 224,
    rounds: Annotated[int, typer.Option(min=1, help="Of the measurement.")] = 5,
    document: Annotated[
        Path | None, typer.Option(help="Write the result between this document's marks, as into docs/kubernetes.md.")
    ] = None,
) -> None:
    """Says how many cores keep a GPU busy.

    A core's rate is measured here: 1280 x 720 JPEG files with a face, in one thread, by processor time. Triton's own
    work and the network's are not in it. Rates of GPUs are estimates until you give yours: `make test-gpu`, `run`.
    """
    gpus = _gpus(gpu or [])
    try:
        frames = [path.read_bytes() for path in make_face_frames(default_cache_dir() / "bench-frames", _FRAMES)]
        if not frames_per_core:
            require_packages("deepfake-bench feed", {"simplejpeg": "preprocessing", "openvino": "preprocessing"})
            frames_per_core = measured_frames_per_core(frames, rounds)
        rate = float(f"{statistics.median(frames_per_core):.3g}")  # as it is printed
        size = float(np.mean([len(frame) for frame in frames]))
        feeds = [feed_of(one, rate, cores, side_px, size) for one in gpus]
        spread = f"{min(frames_per_core):.0f}-{max(frames_per_core):.0f}"
        said = (
            f"A core prepares {rate:g} frames a second ({spread}): {1e3 / rate:.1f} ms of 1280x720 JPEG, "
            f"{size / 1e3:.0f} kB each, with a face.\n\n{table(gpus, feeds, cores)}\n"
        )
        typer.echo(said)
        if document:
            _write(document, said)
    except (AssetError, OSError, ValueError) as error:
        fail("deepfake-bench feed", str(error), 1)
    for line in filter(None, (warning(one, made, cores) for one, made in zip(gpus, feeds, strict=True))):
        typer.echo(line, err=True)


def _write(document: Path, said: str) -> None:
    """Puts the result between the marks.

    Raises:
        ValueError: It has none.
    """
    text, marks = _MARKS.subn(lambda found: f"{found[1]}{said}{found[2]}", document.read_text(encoding="utf-8"))
    if marks != 1:
        raise ValueError(f"{document} needs one pair of lines `<!-- deepfake-bench feed -->` and `<!-- end -->`")
    document.write_text(text, encoding="utf-8")
