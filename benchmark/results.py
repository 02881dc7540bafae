"""Figures of several rounds; results.json, on the disk as soon as a part is measured; the report made from it."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

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
        """The spread of one value per round.

        Raises:
            ValueError: There is none.
        """
        if not values:
            raise ValueError("no round was measured")
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


class Record(BaseModel):
    """One part of a run.

    Attributes:
        figures: None where it could not be measured.
        reason: Why not, "" otherwise.
        took_s: Seconds.
        measured_at: Time in UTC, ISO 8601.
        command: Arguments of the run.
        machine: Where.
    """

    figures: Figures | None
    reason: str
    took_s: float
    measured_at: str
    command: str
    machine: Machine


_FILE = TypeAdapter(dict[str, Record])


class ResultsError(Exception):
    """A results file cannot be read."""


def read_results(path: Path) -> dict[str, Record]:
    """The records by part; none where there is no file.

    Raises:
        ResultsError: It is no results file.
    """
    try:
        return _FILE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise ResultsError(f"{path} is no results file: {error}") from error


def write_results(path: Path, records: Mapping[str, Record]) -> None:
    """Replaces the file as a whole, and writes `report.md` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(_FILE.dump_json(dict(records), indent=1) + b"\n")
    partial.replace(path)
    path.with_name("report.md").write_text("\n".join(_report(records)), encoding="utf-8")


def _report(records: Mapping[str, Record]) -> Iterator[str]:
    yield "# Results of `deepfake-bench run`\n"
    yield "Medians over rounds, with the smallest and largest; ratios are taken within each round, in which all servers"
    yield "take turns. Every request carries frames that were not sent before. Face detection is on everywhere.\n"
    for name, record in records.items():
        if record.figures is None:
            yield f"## {name}: not measured\n\n{' '.join(record.reason.split())[:500]}\n"
            continue
        found = record.figures
        yield f"## {found.title}\n\n{found.note}\n"
        yield f"| | {' | '.join(found.columns)} |"
        yield f"|{'---|' * (len(found.columns) + 1)}"
        for row, cells in found.rows.items():
            texts = [Spread.of(cells[c]).text(d) if cells.get(c) else "-" for c, d in found.columns.items()]
            yield f"| {row} | {' | '.join(texts)} |"
        yield ""
    yield "## Where and how\n"
    for machine in dict.fromkeys((record.machine.hardware, record.machine.versions) for record in records.values()):
        yield f"- {'; '.join(machine)}"
    yield "\n| part | measured | s | commit | command |\n|---|---|---|---|---|"
    for name, record in records.items():
        yield (
            f"| {name} | {record.measured_at} | {record.took_s:.0f} | {record.machine.commit} | `{record.command}` |"
        )
    yield ""
