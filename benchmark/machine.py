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
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Machine:
    """What a figure depends on beside the code.

    Attributes:
        hardware: Processor, cores that this process may use, vector and matrix extensions, memory, NVIDIA GPUs, system.
        versions: Of Python and the packages.
        commit: Of the checkout, `-dirty` behind it where files differ from it.
    """

    hardware: str
    versions: str
    commit: str


def this_machine() -> Machine:
    """Describes the machine this process runs on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = set(values.get("flags", "").split())
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = _lines("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    hardware = [
        values.get("model name", platform.processor()),
        f"{usable_cores()} cores ({' '.join(name for name in _INSTRUCTIONS if name in flags)})",
        f"{memory_gib:.1f} GiB",
        *(gpus or ["no GPU"]),
        f"{platform.system()} {platform.release()}",
    ]
    installed = {one.name: one.version for one in importlib.metadata.distributions() if one.name in _PACKAGES}
    commit = _lines("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12")
    versions = [f"python {platform.python_version()}", *(f"{name} {installed[name]}" for name in sorted(installed))]
    return Machine(", ".join(hardware), ", ".join(versions), commit[0] if commit else "unknown")


def _lines(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
