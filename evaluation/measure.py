"""From scores to figures: the metrics of the clean run, and their paired changes under each degradation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfake_client.scores import DetectionResult
from evaluation.dataset import Label
from evaluation.degradation import Degradation
from evaluation.results import ComparisonResult, RobustnessResult
from evaluation.robustness import NO_FACE, PairedScore
from evaluation.scoring import ScoredFile
from evaluation.statistics import metrics
from evaluation.statistics.bootstrap import BootstrapPlan, Estimate, Indices, estimate

COMPARED = ("auc", "eer", "accuracy", "tpr_at_5pct_fpr")
"""The metrics of the robustness table."""


@dataclass(frozen=True)
class ScoreTable:
    """The scored files as columns.

    Attributes:
        is_fake: (N,) bool.
        p: (N,) float64, 0-1.
        latency_s: (N,) float64.
        verdicts: (N,) str: real, fake or uncertain.
    """

    is_fake: metrics.BoolArray
    p: metrics.FloatArray
    latency_s: metrics.FloatArray
    verdicts: NDArray[np.str_]

    @classmethod
    def of(cls, rows: Sequence[ScoredFile]) -> "ScoreTable":
        """The rows that have a score."""
        scored = [row for row in rows if row.fake_probability is not None]
        return cls(
            is_fake=np.array([row.is_fake for row in scored], dtype=bool),
            p=np.array([row.fake_probability for row in scored], dtype=np.float64),
            latency_s=np.array([row.latency_s for row in scored], dtype=np.float64),
            verdicts=np.array([str(row.verdict) for row in scored], dtype=np.str_),
        )

    @property
    def has_both_classes(self) -> bool:
        """Whether there is a real and a fake."""
        return bool(self.is_fake.any() and not self.is_fake.all())


def clean_metrics(rows: Sequence[ScoredFile], plan: BootstrapPlan) -> dict[str, Estimate]:
    """Every metric of the clean run by name, each with its interval."""
    table = ScoreTable.of(rows)
    decided = table.verdicts != DetectionResult.UNCERTAIN.value
    right = (table.verdicts == DetectionResult.FAKE.value) == table.is_fake

    def of_scores(chosen: Indices) -> dict[str, float]:
        kept = chosen[decided[chosen]]
        return {
            **metrics.score_metrics(table.is_fake[chosen], table.p[chosen]),
            "decided_accuracy": float(right[kept].mean()) if kept.size else float("nan"),
            "uncertain_rate": float((~decided[chosen]).mean()) if chosen.size else float("nan"),
        }

    undecodable = np.array([row.undecodable for row in rows])
    unanswered = np.array([row.unanswered for row in rows])

    def of_failures(chosen: Indices) -> dict[str, float]:
        return {
            "undecodable_rate": float(undecodable[chosen].mean()),
            "unanswered_rate": float(unanswered[chosen].mean()),
        }

    labels = np.array([row.is_fake for row in rows])
    missing = _missing_class(table.is_fake, "was scored") or "every verdict is uncertain"
    return {**estimate(of_scores, table.is_fake, plan, missing), **estimate(of_failures, labels, plan, "")}


def latency(rows: Sequence[ScoredFile], plan: BootstrapPlan) -> dict[str, Estimate]:
    """Percentiles of the time of a scored file, in seconds, each with its interval."""
    table = ScoreTable.of(rows)
    return estimate(
        lambda chosen: metrics.latency_metrics(table.latency_s[chosen]), table.is_fake, plan, "no file was scored"
    )


def robustness_row(
    rows: Sequence[ScoredFile], pairs: Sequence[PairedScore], degradation: Degradation, plan: BootstrapPlan
) -> RobustnessResult:
    """What a degradation changes, over the files that have both scores."""
    both = [(row.is_fake, pair.clean, pair.degraded) for row, pair in zip(rows, pairs, strict=True) if pair.frames]
    is_fake = np.array([fake for fake, _, _ in both], dtype=bool)
    clean = np.array([p for _, p, _ in both], dtype=np.float64)
    degraded = np.array([p for _, _, p in both], dtype=np.float64)

    def statistics(chosen: Indices) -> dict[str, float]:
        before, after = (_compared(is_fake[chosen], p[chosen]) for p in (clean, degraded))
        return {
            **{f"clean {name}": before[name] for name in COMPARED},
            **{f"degraded {name}": after[name] for name in COMPARED},
            **{f"change {name}": after[name] - before[name] for name in COMPARED},
            "mean_abs_dp": float(np.abs(degraded[chosen] - clean[chosen]).mean()) if chosen.size else float("nan"),
        }

    found = estimate(statistics, is_fake, plan, _missing_class(is_fake, "has both scores"))
    return RobustnessResult(
        degradation=degradation.name,
        meaning=degradation.meaning,
        real_files=int((~is_fake).sum()),
        fake_files=int(is_fake.sum()),
        not_applicable=sum(pair.error_code == NO_FACE for pair in pairs),
        failed=sum(pair.failed for pair in pairs),
        mean_abs_dp=found["mean_abs_dp"],
        **{
            name: ComparisonResult(
                clean=found[f"clean {name}"], degraded=found[f"degraded {name}"], change=found[f"change {name}"]
            )
            for name in COMPARED
        },
    )


def _compared(is_fake: metrics.BoolArray, p: metrics.FloatArray) -> dict[str, float]:
    return {**metrics.ranking_metrics(is_fake, p), **metrics.decision_metrics(is_fake, p)}


def _missing_class(is_fake: metrics.BoolArray, what: str) -> str:
    if not is_fake.size:
        return f"no file {what}"
    if not is_fake.any():
        return f"no {Label.FAKE} file {what}"
    return f"no {Label.REAL} file {what}" if is_fake.all() else ""
