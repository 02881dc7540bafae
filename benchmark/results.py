"""Figures of several rounds, results.json, and the report made from it."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from benchmark.machine import Machine

Rows = dict[str, dict[str, list[float]]]
"""Values per round, by row and column."""


@dataclass(frozen=True)
class Spread:
    """A figure measured several times."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value per round; at least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int = 2) -> str:
        """`median (low-high)`, or the value alone where there was one round."""
        if self.rounds == 1:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def ratios(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The ratio within each round, so that a slow minute of the machine meets both sides of it."""
    return [value / other for value, other in zip(values, baseline, strict=True)]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(int(-(-len(ordered) * percent // 100)), 1) - 1]


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


class Results(BaseModel):
    """One run.

    Attributes:
        command: As it was called.
        measured_at: Its start in UTC, ISO 8601.
        machine: Where.
        parts: What was measured, by part.
        not_measured: Why the others were not.
    """

    command: str
    measured_at: str
    machine: Machine
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
    yield f"{results.measured_at}, commit {results.machine.commit}, `{results.command}`\n"
    yield f"{results.machine.hardware}; {results.machine.versions}\n"
    for found in results.parts.values():
        yield f"## {found.title}\n\n{found.note}\n"
        yield f"| | {' | '.join(found.columns)} |"
        yield f"|{'---|' * (len(found.columns) + 1)}"
        for row, cells in found.rows.items():
            texts = [Spread.of(cells[c]).text(d) if cells.get(c) else "-" for c, d in found.columns.items()]
            yield f"| {row} | {' | '.join(texts)} |"
        yield ""
    for name, reason in results.not_measured.items():
        yield f"## {name}: not measured\n\n{' '.join(reason.split())[:500]}\n"
