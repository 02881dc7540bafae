"""The most memory each process of each server has held, and what the servers cost while nobody asks them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmark.bench import Bench, LeftOutError, Target
from benchmark.gateway_calls import post_frames
from benchmark.parts.video_ratio import FRAMES


@dataclass(frozen=True)
class ProcessPeak:
    """One process.

    Attributes:
        name: What it is, from its command line.
        peak_mib: VmHWM: pages shared with others are counted in each.
    """

    name: str
    peak_mib: float


@dataclass(frozen=True)
class ServerMemory:
    """One server.

    Attributes:
        server: Its name.
        processes: The largest first.
        idle_cores: Processor time of all of them while no server was asked anything, in cores.
    """

    server: str
    processes: list[ProcessPeak]
    idle_cores: float

    @property
    def sum_mib(self) -> float:
        """Of all processes; an upper bound, since shared pages count several times."""
        return sum(process.peak_mib for process in self.processes)


@dataclass(frozen=True)
class Memory:
    """The part's figures."""

    servers: list[ServerMemory]


def measure(bench: Bench) -> Memory:
    """Reads the peaks of all servers that this run has started; ours and the seed's if it has started none.

    Raises:
        LeftOutError: A running deployment is measured, whose processes are elsewhere.
    """
    if bench.options.remote:
        raise LeftOutError("the deployment's processes are not on this machine")
    if not bench.started():
        for target in [bench.seed(1), *(bench.ours(precision) for precision in bench.precisions)]:
            post_frames(target.url, bench.supply.files(FRAMES), "VIDEO")
    return Memory(_all(bench.started(), 2.0 if bench.options.quick else 10.0))


def _all(targets: list[Target], idle_s: float) -> list[ServerMemory]:
    before = {target.name: _cpu_s(target) for target in targets}
    time.sleep(idle_s)
    return [
        ServerMemory(
            target.name,
            sorted(filter(None, map(_peak, target.pids())), key=lambda peak: -peak.peak_mib),
            max(_cpu_s(target) - before[target.name], 0.0) / idle_s,
        )
        for target in targets
    ]


def _cpu_s(target: Target) -> float:
    """User and system time of the processes that live now."""
    ticks = 0
    for pid in target.pids():
        try:
            # The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field behind it.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> ProcessPeak | None:
    folder = Path(f"/proc/{pid}")
    try:
        status = (folder / "status").read_text(encoding="utf-8")
        words = (folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return None  # it has ended
    if "VmHWM:" not in status:
        return None  # a zombie
    return ProcessPeak(_name(words), int(status.split("VmHWM:")[1].split()[0]) / 1024)


def _name(words: list[str]) -> str:
    """`tritonserver`, `model process: classifier`, `python -m gateway`, ..."""
    program = Path(words[0]).name
    if "python_backend_stub" in program:
        # The stub's first argument is the path of its model.py.
        parts = Path(words[1]).parts
        return f"model process: {parts[-3]}" if len(parts) >= 3 else program
    if program.startswith("python") and "-m" in words[:-1]:
        return f"python -m {words[words.index('-m') + 1]}"
    return next((Path(word).name for word in words[1:] if program.startswith("python") and word[:1] != "-"), program)
