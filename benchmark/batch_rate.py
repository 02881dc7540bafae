"""Is the command line as quick as the server? `python -m benchmark.batch_rate`.

Scores the same photographs with deepfake-detect and with perf_analyzer, in turn, and compares their rates.
"""

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from deepfake_client.batch.scoring import WORKERS
from deepfake_client.settings import ClientSettings

from benchmark.perf import find_perf_analyzer, input_data
from benchmark.photos import make_photos


@dataclass(frozen=True)
class Round:
    """Images a second of one round.

    Attributes:
        command: deepfake-detect from start to end, its start-up included.
        perf_analyzer: perf_analyzer's own figure.
    """

    command: float
    perf_analyzer: float


def batch_rate(
    count: Annotated[int, typer.Option(min=10, help="Images in a round.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of both.")] = 3,
    url: Annotated[str, typer.Option(help="host:port of Triton's gRPC endpoint.")] = "localhost:8001",
    workers: Annotated[int, typer.Option(min=1, help="Images in progress at the same time, for both.")] = WORKERS,
    perf_analyzer: Annotated[str, typer.Option(envvar="PERF_ANALYZER", help="The program.")] = "perf_analyzer",
) -> None:
    """Compares the rate of deepfake-detect with perf_analyzer's over the same images on the same server."""
    program = find_perf_analyzer(perf_analyzer)
    with tempfile.TemporaryDirectory(prefix="deepfake-rate-") as scratch:
        images = make_photos(Path(scratch) / "photos", count)
        data = Path(scratch) / "images.json"
        data.write_text(input_data([image.read_bytes() for image in images], 1), encoding="utf-8")
        results = []
        for number in range(1, rounds + 1):
            result = Round(
                command=_command_rate(images[0].parent, count, url, workers, Path(scratch)),
                perf_analyzer=_perf_analyzer_rate(program, data, count, url, workers, Path(scratch)),
            )
            results.append(result)
            print(
                f"round {number}: deepfake-detect {result.command:.2f}, perf_analyzer {result.perf_analyzer:.2f} img/s"
            )
    ratios = [result.command / result.perf_analyzer for result in results]
    spread = f"{min(ratios):.3f}-{max(ratios):.3f}, {rounds} rounds of {count} images, {workers} at once"
    print(f"deepfake-detect / perf_analyzer: median {statistics.median(ratios):.3f} ({spread})")


def _command_rate(folder: Path, count: int, url: str, workers: int, scratch: Path) -> float:
    output = scratch / "results.jsonl"
    command = [
        sys.executable, "-m", "deepfake_client", str(folder), "--url", url, "--workers", str(workers),
        "--output", str(output),
    ]  # fmt: skip
    started = time.monotonic()
    subprocess.run(command, check=True)
    elapsed_s = time.monotonic() - started
    rows = len(output.read_text(encoding="utf-8").splitlines())
    output.unlink()
    if rows != count:
        raise RuntimeError(f"{rows} rows for {count} images")
    return count / elapsed_s


def _perf_analyzer_rate(program: str, data: Path, count: int, url: str, workers: int, scratch: Path) -> float:
    table = scratch / "perf.csv"
    command = [
        program, "-m", ClientSettings().model, "-u", url, "-i", "grpc", "-b", "1", "--input-data", str(data),
        "--concurrency-range", str(workers), "--request-count", str(count), "-f", str(table),
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with table.open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    return float(row["Inferences/Second"])


if __name__ == "__main__":
    typer.run(batch_rate)
