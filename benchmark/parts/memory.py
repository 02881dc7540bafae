"""The most memory each process of each server has held."""

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
    """One server's processes, the largest first."""

    server: str
    processes: list[ProcessPeak]

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
    return Memory([_of(target) for target in bench.started()])


def _of(target: Target) -> ServerMemory:
    peaks = [peak for pid in target.pids() if (peak := _peak(pid)) is not None]
    return ServerMemory(target.name, sorted(peaks, key=lambda peak: -peak.peak_mib))


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
