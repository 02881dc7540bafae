"""NVIDIA's perf_analyzer over real images: `deepfake-bench perf IMAGE...`.

The program is taken from PATH, or from PERF_ANALYZER. NVIDIA's Triton SDK image carries it; `pip install perf-analyzer`
works where glibc is 2.38 or newer.
"""

import base64
import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepfake_client.command_line.exits import EXIT_USAGE, USAGE, fail
from deepfake_client.settings import ClientSettings


def input_data(images: Sequence[bytes], batch: int) -> str:
    """perf_analyzer's --input-data: a BYTES element is its length (4 bytes, little-endian), then the image."""
    encoded = [base64.b64encode(len(image).to_bytes(4, "little") + image).decode() for image in images]
    steps = [
        {"IMAGE": {"b64": encoded[i % len(encoded)], "shape": [1]}} for i in range(-(-len(encoded) // batch) * batch)
    ]
    return json.dumps({"data": steps})


EXIT_CODES = {0: "measured", **USAGE}
EXAMPLES = ("deepfake-bench perf examples/astronaut.png --concurrency 1:4:1",)


def perf(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", exists=True, dir_okay=False, help="Image files to send in turn.")
    ],
    url: Annotated[
        str, typer.Option(envvar="DEEPFAKE_URL", help="host:port of Triton's gRPC endpoint.")
    ] = "localhost:8001",
    concurrency: Annotated[str, typer.Option(help="Concurrent requests, as start:stop:step.")] = "1:4:1",
    batch: Annotated[int, typer.Option(min=1, max=32, help="Frames in one request.")] = 1,
    options: Annotated[str, typer.Option(help="More of perf_analyzer's options, between quotes.")] = "",
    perf_analyzer: Annotated[
        str, typer.Option(envvar="PERF_ANALYZER", help="The program: from NVIDIA's SDK image, or pip on glibc >= 2.38.")
    ] = "perf_analyzer",
) -> None:
    """Measures throughput and latency of the ensemble over gRPC.

    The report of perf_analyzer is printed as it is, and other exit codes are its own.
    """
    program = shutil.which(perf_analyzer)
    if program is None:
        said = f"{perf_analyzer} is not on PATH: name it with --perf-analyzer or PERF_ANALYZER"
        fail("deepfake-bench perf", said, EXIT_USAGE)
    with tempfile.TemporaryDirectory(prefix="deepfake-perf-") as scratch:
        data = Path(scratch) / "images.json"
        data.write_text(input_data([image.read_bytes() for image in images], batch), encoding="utf-8")
        command = [
            program, "-m", ClientSettings().model, "-u", url, "-i", "grpc", "-b", str(batch), "--input-data", str(data),
            "--concurrency-range", concurrency, "--percentile", "95", *shlex.split(options),
        ]  # fmt: skip
        raise typer.Exit(subprocess.run(command, check=False).returncode)
