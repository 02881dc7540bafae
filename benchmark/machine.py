"""Where figures come from: machine, versions, commit."""

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runtime import usable_cores

_PACKAGES = (
    "deepfake-serving", "nvidia-pytriton", "openvino", "onnxruntime", "torch", "transformers", "mediapipe", "numpy",
    "litserve", "mosec",
)  # fmt: skip
_ISA = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Machine:
    """What a figure depends on beside the code.

    Attributes:
        processor: Its name.
        cores: That this process may use.
        memory_gib: Of the machine.
        instructions: The vector and matrix extensions it has.
        gpus: Names of NVIDIA GPUs.
        system: Operating system and kernel.
        versions: Package -> version, `python` among them.
        commit: Of the checkout, `+` behind it where files differ from it.
    """

    processor: str
    cores: int
    memory_gib: float
    instructions: tuple[str, ...]
    gpus: tuple[str, ...]
    system: str
    versions: dict[str, str]
    commit: str


def this_machine() -> Machine:
    """Describes the machine this process runs on."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in cpu.split("\n\n")[0].splitlines() if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(values.get("flags", "").split())
    return Machine(
        processor=values.get("model name", platform.processor()),
        cores=usable_cores(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        instructions=tuple(name for name in _ISA if name in flags),
        gpus=tuple(_lines("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")),
        system=f"{platform.system()} {platform.release()}",
        versions={"python": platform.python_version(), **_versions()},
        commit=_commit(),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    folder = str(Path(__file__).parent)
    head = _lines("git", "-C", folder, "rev-parse", "--short=12", "HEAD")
    changed = _lines("git", "-C", folder, "status", "--porcelain", "--untracked-files=no")
    return f"{head[0]}{'+' if changed else ''}" if head else "unknown"


def _lines(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
