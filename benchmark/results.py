"""Figures of several rounds, where they come from, results.json, and the report made from it."""

import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from runtime import usable_cores

_PACKAGES = (
    "deepfake-serving", "nvidia-pytriton", "openvino", "onnxruntime", "torch", "transformers", "mediapipe", "numpy",
    "litserve", "mosec",
)  # fmt: skip
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")

Rows = dict[str, dict[str, list[float]]]
"""Values per round, by row and column."""


def spread(values: Sequence[float], digits: int) -> str:
    """`median (low-high)` of one value per round, or the value alone where there was one round."""
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The ratio within each round, so that a slow minute of the machine meets both sides of it."""
    return [value / other for value, other in zip(values, baseline, strict=True)]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


class Figures(BaseModel):
    """What a part measured: a table in which each cell holds one value per round.

    Attributes:
        title: For people.
        note: How it was measured.
        columns: Decimals to show, by column.
        rows: The cells.
    """

    title: str
    note: str
    columns: dict[str, int]
    rows: Rows


def _hardware() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.+)", cpuinfo)
    flags = set(cpuinfo.split())
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return ", ".join(
        [
            model[1] if model else platform.processor(),
            f"{usable_cores()} cores ({' '.join(name for name in _INSTRUCTIONS if name in flags)})",
            f"{memory_gib:.1f} GiB",
            *(_lines("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or ["no GPU"]),
            f"{platform.system()} {platform.release()}",
        ]
    )


def _versions() -> str:
    installed = {one.name: one.version for one in importlib.metadata.distributions() if one.name in _PACKAGES}
    return ", ".join(
        [f"python {platform.python_version()}", *(f"{name} {installed[name]}" for name in sorted(installed))]
    )


def _commit() -> str:
    folder = str(Path(__file__).parent)
    return (_lines("git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12") or ["unknown"])[0]


def _lines(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


class Results(BaseModel):
    """One run.

    Attributes:
        command: As it was called.
        measured_at: Its start in UTC, ISO 8601.
        hardware: Processor, cores that this process may use, vector and matrix extensions, memory, NVIDIA GPUs, system.
        versions: Of Python and the packages.
        commit: Of the checkout, `-dirty` behind it where files differ from it.
        parts: What was measured, by part.
        not_measured: Why the others were not.
    """

    command: str
    measured_at: str
    hardware: str = Field(default_factory=_hardware)
    versions: str = Field(default_factory=_versions)
    commit: str = Field(default_factory=_commit)
    parts: dict[str, Figures] = {}
    not_measured: dict[str, str] = {}


def write_results(folder: Path, results: Results) -> None:
    """Writes `results.json` and `report.md`; after each part, so that a run that is cut off leaves its figures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text("\n".join(_report(results)), encoding="utf-8")


def _report(results: Results) -> Iterator[str]:
    yield "# Results of `deepfake-bench run`\n"
    yield "Medians over rounds, with the smallest and largest; ratios are taken within each round, in which all servers"
    yield "take turns. Every request carries frames that were not sent before. Face detection is on everywhere.\n"
    yield f"{results.measured_at}, commit {results.commit}, `{results.command}`\n"
    yield f"{results.hardware}; {results.versions}\n"
    for found in results.parts.values():
        yield f"## {found.title}\n\n{found.note}\n"
        yield f"| | {' | '.join(found.columns)} |"
        yield f"|{'---|' * (len(found.columns) + 1)}"
        for row, cells in found.rows.items():
            texts = [spread(cells[c], d) if cells.get(c) else "-" for c, d in found.columns.items()]
            yield f"| {row} | {' | '.join(texts)} |"
        yield ""
    for name, reason in results.not_measured.items():
        yield f"## {name}: not measured\n\n{' '.join(reason.split())[:500]}\n"
