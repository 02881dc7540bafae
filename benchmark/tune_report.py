"""What a search found: a table for people, the plan for `make serve`, everything as JSON."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmark.machine import Machine
from benchmark.tune_search import SCORE_TEXT, Configuration, Figures, Outcome, Trial
from export.plan_file import Measured, PlanFile


def table_of(outcome: Outcome) -> Table:
    """All comparisons, the last one included; a candidate's figures beside those of what it had to beat."""
    table = Table(title="candidate / best so far, medians of the same rounds")
    for heading in ("change", "video images/s", "video s", "8 clients images/s", "p99 ms", "score", "verdict"):
        table.add_column(heading, justify="left" if heading in ("change", "verdict") else "right")
    for trial in outcome.trials:
        table.add_row(trial.candidate.changes_from(trial.best), *_cells(trial))
    if outcome.final is not None:
        table.add_section()
        table.add_row(
            f"against the default: {outcome.final.candidate.changes_from(outcome.default)}", *_cells(outcome.final)
        )
    return table


def _cells(trial: Trial) -> Sequence[str]:
    ours, theirs = trial.candidate_figures, trial.best_figures
    if ours is None or theirs is None:
        return ["", "", "", "", "", trial.verdict()]
    return [
        f"{ours.video_images_per_s:.1f} / {theirs.video_images_per_s:.1f}",
        f"{ours.video_latency_s:.2f} / {theirs.video_latency_s:.2f}",
        f"{ours.singles_images_per_s:.1f} / {theirs.singles_images_per_s:.1f}",
        f"{ours.singles_p99_s * 1e3:.0f} / {theirs.singles_p99_s * 1e3:.0f}",
        f"{1 + trial.gain:.3f} ({min(trial.ratios):.3f}-{max(trial.ratios):.3f})",
        trial.verdict(),
    ]


def plan_of(outcome: Outcome, machine: Machine, precision: str) -> PlanFile:
    """The winner as a file for `make serve SERVING_PLAN=...`."""
    measured = Measured(
        machine=machine.processor,
        cores=machine.cores,
        date=_now(),
        precision=precision,
        figures=_figures(outcome),
    )
    return PlanFile(**asdict(outcome.winner), measured=measured)


def _figures(outcome: Outcome) -> dict[str, float]:
    """Of winner and default in the last comparison; of the default alone, in the first one, if it won all."""
    last = outcome.final or next((trial for trial in outcome.trials if trial.best_figures), None)
    if last is None:
        return {}
    found: dict[str, Figures | None] = {"default": last.best_figures}
    if outcome.winner != outcome.default:
        found["plan"] = last.candidate_figures
    named = {f"{who}_{name}": value for who, one in found.items() if one for name, value in asdict(one).items()}
    gain = {"gain": last.gain} if outcome.winner != outcome.default else {}
    return {name: round(value, 4) for name, value in {**named, **gain}.items()}


def write_results(path: Path, outcome: Outcome, machine: Machine, precision: str, command: str) -> None:
    """Everything that was measured, in one JSON file that is replaced whole."""
    document = {
        "form": 1,
        "date": _now(),
        "command": command,
        "machine": asdict(machine),
        "precision": precision,
        "score": SCORE_TEXT,
        "default": asdict(outcome.default),
        "winner": asdict(outcome.winner),
        "reason": outcome.reason(),
        "trials": [_plain(trial) for trial in outcome.trials],
        "final": _plain(outcome.final) if outcome.final else None,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _plain(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "gain": trial.gain, "needed": trial.needed, "won": trial.won}


def show(configuration: Configuration) -> str:
    """All its fields on one line."""
    return ", ".join(f"{name} {value}" for name, value in asdict(configuration).items())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
