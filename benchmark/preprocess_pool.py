"""`python -m benchmark.preprocess_pool`: how much of the time a classifier is busy behind 1, 2, ... preprocess servers.

On one machine all share its cores, so each server gets a quota of processor time, by a control group: this needs root.
The rounds are interleaved. Start what is measured with
`DEEPFAKE_PREPROCESS_SERVERS=3 DEEPFAKE_INSTANCES=1 deepfake-serve`.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

import psutil  # type: ignore[import-untyped]
import tritonclient.grpc as grpc
import typer

from benchmark.scaling_signal import listening_process
from benchmark.servers import BenchError
from deepfake_client.scorer import Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer

_CLIENTS = 6
_TIMEOUT_S = 60.0
_PERIOD_US = 20_000
_GROUPS_V1, _GROUPS_V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Seen:
    """What one round saw.

    Attributes:
        frames_per_s: Answered.
        busy: Share of the time in which the classifier computed.
        pool_cores: Processor time of the servers that only preprocess, in cores.
        client_ms: Processor time of the client for a frame.
    """

    frames_per_s: float
    busy: float
    pool_cores: float
    client_ms: float


@contextmanager
def quota(process: psutil.Process, cores: float) -> Iterator[None]:
    """Gives a process and its children so much processor time together, of this moment's children.

    Raises:
        BenchError: No control group can be made.
    """
    v1 = (_GROUPS_V1 / "cpu.cfs_quota_us").exists()
    folder = (_GROUPS_V1 if v1 else _GROUPS_V2) / f"deepfake-bench-{process.pid}"
    limit = str(round(cores * _PERIOD_US))
    try:
        folder.mkdir()
        if v1:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(limit)
        else:
            (folder / "cpu.max").write_text(f"{limit} {_PERIOD_US}")
        members = [process, *process.children(recursive=True)]
        _move(members, folder)
    except OSError as error:
        raise BenchError(f"no control group with a quota can be made ({error}): run it as root") from error
    try:
        yield
    finally:
        _move([one for one in members if one.is_running()], folder.parent)
        folder.rmdir()


def _move(processes: Sequence[psutil.Process], group: Path) -> None:
    for one in processes:
        (group / "cgroup.procs").write_text(str(one.pid))


def observe(triton: str, pool: Sequence[str], image: bytes, frames: int, seconds: float) -> Seen:
    """Has clients ask again and again, some time long."""
    processes = [listening_process(address) for address in pool]
    settings = ClientSettings(preprocess_url=",".join(pool))
    ends_at, answered = time.monotonic() + seconds, [0] * _CLIENTS
    scorer = TritonScorer(triton, settings)
    scorer.score([image], Deadline(_TIMEOUT_S))

    def ask(number: int) -> None:
        while time.monotonic() < ends_at:
            scorer.score([image] * frames, Deadline(_TIMEOUT_S))
            answered[number] += frames

    began, busy_s, pool_s, own = time.monotonic(), _busy_s(triton), _processor_s(processes), os.times()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s, ended = time.monotonic() - began, os.times()
    scorer.close()
    client_s = ended.user + ended.system - own.user - own.system
    return Seen(
        frames_per_s=sum(answered) / elapsed_s,
        busy=(_busy_s(triton) - busy_s) / elapsed_s,
        pool_cores=(_processor_s(processes) - pool_s) / elapsed_s,
        client_ms=1000 * client_s / sum(answered),
    )


def _busy_s(triton: str) -> float:
    """How long the classifier has computed, each batch counted once."""
    with grpc.InferenceServerClient(triton) as client:
        (model,) = client.get_inference_statistics("classifier").model_stats
    return float(sum(batch.compute_infer.ns for batch in model.batch_stats)) / 1e9


def _processor_s(processes: Sequence[psutil.Process]) -> float:
    every = [one.cpu_times() for process in processes for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in every))


def main(
    image: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An image file.")],
    triton: Annotated[str, typer.Option(help="Triton's gRPC address, on this machine.")] = "127.0.0.1:8001",
    pool: Annotated[
        str, typer.Option(help="gRPC addresses of the servers that only preprocess, on this machine.")
    ] = "127.0.0.1:8011,127.0.0.1:8013,127.0.0.1:8015",
    cores: Annotated[float, typer.Option(min=0.05, help="Quota of each of these.")] = 0.25,
    frames: Annotated[int, typer.Option(min=1, max=32, help="Images of one request.")] = 8,
    seconds: Annotated[float, typer.Option(min=1, help="Of one round.")] = 15,
    rounds: Annotated[int, typer.Option(min=1, help="With each number of servers.")] = 3,
) -> None:
    """Prints a table in Markdown."""
    servers, content = pool.split(","), image.read_bytes()
    seen: dict[int, list[Seen]] = {count: [] for count in range(1, len(servers) + 1)}
    with ExitStack() as limited:
        for address in servers:
            limited.enter_context(quota(listening_process(address), cores))
        for _ in range(rounds):
            for count, results in seen.items():
                results.append(observe(triton, servers[:count], content, frames, seconds))
    typer.echo(f"{cores} cores for each server, {rounds} rounds of {seconds:g} s\n")
    typer.echo("| servers | frames/s | classifier busy | their cores | client, ms a frame |\n|---|---|---|---|---|")
    for count, results in seen.items():
        shares = ", ".join(f"{one.busy:.0%}" for one in results)
        typer.echo(
            f"| {count} | {mean(one.frames_per_s for one in results):.1f} | {shares} "
            f"| {mean(one.pool_cores for one in results):.2f} | {mean(one.client_ms for one in results):.2f} |"
        )


if __name__ == "__main__":
    typer.run(main)
